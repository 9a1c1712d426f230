//! A result → published in the bucket, then announced on the results queue.

use std::collections::BTreeSet;

use suno_midi::{Outcome, format::DOCUMENT};

use crate::{
    aws::{Error, queue::Queue},
    bucket::{Bucket, precedence::Rank, results::PublishOutcome},
    messages::announcement::Announcement,
};

/// Where results go.
#[derive(Debug)]
pub struct Publisher {
    /// Keeps the files and the document.
    pub bucket: Bucket,
    /// Takes an announcement of each document.
    pub results_queue: Queue,
}

impl Publisher {
    /// Publishes the files of a result, removes those of the result `before` that it does not have, and publishes the
    /// document last: a reader of the document finds its files, and no others. Then announces the document, unless
    /// another result outranks this one.
    ///
    /// `before` has the object keys of the result that the task had a moment ago; `None` if it had none.
    ///
    /// # Errors
    /// If S3 or SQS did not confirm. It is safe to publish the same result again.
    pub async fn publish(
        &self,
        outcome: &Outcome,
        rank: &Rank,
        before: Option<&BTreeSet<String>>,
    ) -> Result<PublishOutcome, Error> {
        let document = &outcome.document;
        let (task_id, state) = (&document.task_id, document.state);
        let keys: BTreeSet<&str> = outcome.objects().map(|(key, _)| key).collect();
        let stale = before.into_iter().flatten().filter(|key| !keys.contains(key.as_str()));
        let outranked = || {
            tracing::info!(taskId = %task_id, state = state.name(), key = rank.body_key(), "not published: the result of another body or of a newer request outranks it");
            Ok(PublishOutcome::Outranked)
        };
        let mut published = PublishOutcome::Unchanged;
        for (key, file) in outcome.objects() {
            if file.format == DOCUMENT {
                for key in stale.clone() {
                    if self.bucket.withdraw(key, rank).await? == PublishOutcome::Outranked {
                        return outranked();
                    }
                }
            }
            published = self.bucket.publish(key, &file, state, rank, before.is_none()).await?;
            if published == PublishOutcome::Outranked {
                return outranked();
            }
        }
        // Even if nothing had to be written: an earlier try may have ended just before it announced the result.
        let announcement = Announcement::new(self.bucket.name(), document);
        self.results_queue.send(task_id, &announcement).await?;
        Ok(published)
    }
}
