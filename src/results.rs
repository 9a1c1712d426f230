//! A result → published in the bucket, then announced on the results queue.

use std::collections::BTreeSet;

use suno_midi::{Outcome, format::DOCUMENT};

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
    /// Publishes the files of a result, removes those of the result `before` that it does not have, and publishes the
    /// document last: whoever sees the document can read its files, and finds no others. Then announces the document, unless
    /// the result of another body or of a newer request has precedence.
    ///
    /// `before` has the object names of the result that the task had a moment ago; `None` if it had none.
    ///
    /// # Errors
    /// If S3 or SQS did not confirm. It is safe to deliver the same result again.
    pub async fn deliver<E>(
        &self,
        outcome: &Outcome,
        rank: &Rank,
        before: Option<&BTreeSet<String>>,
    ) -> Result<Published, E>
    where
        E: From<ArchiveError> + From<QueueError>,
    {
        let document = &outcome.document;
        let (task_id, state) = (&document.task_id, document.state);
        let named: BTreeSet<&str> = outcome.objects().map(|(object, _)| object).collect();
        let stale = before
            .into_iter()
            .flatten()
            .filter(|object| !named.contains(object.as_str()));
        let outranked = || {
            tracing::info!(taskId = %task_id, state = state.name(), key = rank.object(), "not published: the result of another callback or of a newer request has precedence");
            Ok(Published::Outranked)
        };
        let mut published = Published::Unchanged;
        for (object, file) in outcome.objects() {
            if file.format == DOCUMENT {
                for object in stale.clone() {
                    if self.archive.withdraw(object, rank).await? == Published::Outranked {
                        return outranked();
                    }
                }
            }
            let content_type = file.format.content_type;
            let is_first = before.is_none();
            let publish = (self.archive).publish(object, &file.bytes, content_type, state, rank, is_first);
            published = publish.await?;
            if published == Published::Outranked {
                return outranked();
            }
        }
        // Even if nothing had to be written: an earlier try may have ended just before it announced the result.
        let announcement = Announcement::new(self.archive.bucket(), document);
        self.queue.send(task_id, &announcement).await?;
        Ok(published)
    }
}
