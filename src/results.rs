//! A result → published in the bucket, then announced on the results queue.

use suno_midi::Outcome;

use crate::{
    announcement::Announcement,
    archive::{Archive, ArchiveError, Published},
    precedence::Rank,
    queue::{Queue, QueueError},
};

/// Where results go.
#[derive(Debug)]
pub struct Results {
    /// Keeps the files and the document.
    pub archive: Archive,
    /// Takes an announcement of each document.
    pub queue: Queue,
}

impl Results {
    /// Publishes the files of a result, and the document last: whoever sees the document can read the files. Then announces
    /// the document, unless the result of another body or of a newer request has precedence. `is_first` says that the task
    /// had no result a moment ago.
    ///
    /// # Errors
    /// If S3 or SQS did not confirm. It is safe to deliver the same result again.
    pub async fn deliver<E>(&self, outcome: &Outcome, rank: &Rank, is_first: bool) -> Result<Published, E>
    where
        E: From<ArchiveError> + From<QueueError>,
    {
        let document = &outcome.document;
        let (task_id, state) = (&document.task_id, document.state);
        let mut published = Published::Unchanged;
        for (object, file) in outcome.objects() {
            let content_type = file.format.content_type;
            let publish = (self.archive).publish(object, &file.bytes, content_type, state, rank, is_first);
            published = publish.await?;
            if published == Published::Outranked {
                tracing::info!(taskId = %task_id, state = state.name(), key = rank.object(), "not published: the result of another callback or of a newer request has precedence");
                return Ok(published);
            }
        }
        // Even if nothing had to be written: an earlier try may have ended just before it announced the result.
        let announcement = Announcement::new(self.archive.bucket(), document);
        self.queue.send(task_id, &announcement).await?;
        Ok(published)
    }
}
