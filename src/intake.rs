//! A body → stored and queued.
//!
//! The order matters: put, then send. A crash between the two leaves a body without a job. The sender gets no
//! confirmation, so it sends the body again. The second put finds the body stored, and the job is sent.

use crate::{
    aws::{Error, queue::Queue},
    bucket::{
        Bucket,
        bodies::{NewBody, Stored},
    },
    messages::job::Job,
};

/// Where bodies go.
#[derive(Debug)]
pub struct Intake {
    /// Keeps the bodies.
    pub bucket: Bucket,
    /// Takes a job for each body.
    pub render_queue: Queue,
}

/// A body that is stored and queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its object key.
    pub body_key: String,
    /// Whether the same bytes were there already.
    pub duplicate: bool,
}

impl Intake {
    /// Stores a body and queues its job.
    ///
    /// # Errors
    /// If S3 or SQS did not confirm. It is safe to accept the same body again.
    pub async fn accept(&self, body: &NewBody) -> Result<Accepted, Error> {
        let (body_key, stored) = self.bucket.store(body).await?;
        // Even if the body was there: an earlier try may have ended before it sent the job.
        let job = Job::new(body.task_id.clone(), self.bucket.name(), body_key.clone());
        self.render_queue.send(&body.task_id, &job).await?;
        Ok(Accepted {
            body_key,
            duplicate: stored == Stored::AlreadyThere,
        })
    }
}
