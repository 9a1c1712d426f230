//! A verified body → stored and queued.
//!
//! The order matters: put, then send. A crash between the two leaves a body without a job. The sender gets no
//! confirmation, so it sends the body again. The second put finds the body stored, and the job is sent.

use thiserror::Error;

use crate::{
    archive::{Archive, ArchiveError, Arrival, Stored},
    jobs::Job,
    queue::{Queue, QueueError},
};

/// Where verified bodies go.
#[derive(Debug)]
pub struct Intake {
    /// Keeps the bodies.
    pub archive: Archive,
    /// Takes a job for each body.
    pub render_queue: Queue,
}

/// A body that is stored and queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The object name of the body.
    pub object: String,
    /// Whether the same bytes were there already.
    pub duplicate: bool,
}

/// Why a callback was not taken.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// S3 failed. The body may be stored; it is not queued.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// SQS failed. The body, if it is one to keep, is stored; its message may be queued.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl IntakeError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Archive(error) => error.is_transient(),
            Self::Queue(error) => error.is_transient(),
        }
    }
}

impl Intake {
    /// Stores a body and queues its job.
    ///
    /// # Errors
    /// If S3 or SQS did not confirm. It is safe to take the same body again.
    pub async fn take(&self, arrival: &Arrival) -> Result<Taken, IntakeError> {
        let (object, stored) = self.archive.store(arrival).await?;
        // Even if the body was there: an earlier try may have ended before it sent the job.
        let job = Job::new(arrival.task_id.clone(), self.archive.bucket(), object.clone());
        self.render_queue.send(&arrival.task_id, &job).await?;
        Ok(Taken {
            object,
            duplicate: stored == Stored::AlreadyThere,
        })
    }
}
