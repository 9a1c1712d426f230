//! The second Lambda: a batch of messages → for each, done or again.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use thiserror::Error;
use tracing::Instrument as _;

use crate::{
    archive::{Archive, ArchiveError, Published, Rank},
    jobs::{self, Job, NotAJob, Queue, QueueError},
    midi::tempo::TempoChoice,
    rendering::{Source, State, lost, render},
};

/// The renderer, with all it needs.
#[derive(Debug)]
pub struct Renderer {
    /// Where bodies are and results go.
    pub archive: Archive,
    /// Where results are announced.
    pub results: Queue,
    /// How the files' tempo is chosen.
    pub tempo: TempoChoice,
}

/// Why a message goes back to the queue.
#[derive(Debug, Error)]
pub enum Failed {
    /// S3 failed. The queue brings the message again, and after the last time to the dead-letter queue.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// SQS failed to take the announcement: as above.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The message cannot be understood, now or ever. It goes back all the same: the queue moves it
    /// to the dead-letter queue, whose alarm calls a person. To delete it here would be silence.
    #[error(transparent)]
    NotAJob(#[from] NotAJob),
    /// The job names a bucket that is not ours: as above.
    #[error("the job names the bucket {0}, which is not the one of this renderer")]
    OtherBucket(String),
}

impl Renderer {
    /// Renders each message of a batch; names those that must be received again.
    pub async fn handle(&self, event: SqsEvent) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for message in event.records {
            let id = message.message_id.unwrap_or_default();
            let span = tracing::info_span!("message", messageId = id);
            let outcome = self
                .message(message.body.as_deref().unwrap_or_default())
                .instrument(span.clone())
                .await;
            if let Err(error) = outcome {
                span.in_scope(|| tracing::error!(%error, "not rendered; the message goes back to the queue"));
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = id;
                response.batch_item_failures.push(failure);
            }
        }
        response
    }

    async fn message(&self, body: &str) -> Result<(), Failed> {
        for job in jobs::read(body)? {
            self.job(&job).await?;
        }
        Ok(())
    }

    async fn job(&self, job: &Job) -> Result<(), Failed> {
        if job.bucket != self.archive.bucket() {
            return Err(Failed::OtherBucket(job.bucket.clone()));
        }
        let raw = self.archive.load(&job.key).await?;
        // A body that is gone has no time, and so the lowest rank: it replaces nothing.
        let webhook_timestamp = raw.as_ref().map_or(0, |raw| raw.webhook_timestamp);
        let source = Source {
            key: job.key.clone(),
            webhook_timestamp,
        };
        let rendering = match raw {
            Some(raw) => render(&job.task_id, Some(source), &raw.body, self.tempo),
            None => lost(&job.task_id, source),
        };
        let state = rendering.document.state;
        let rank = Rank::new(state, webhook_timestamp, &job.key);
        let document = rendering.document.to_json();

        // The document comes last: where it is, the files are.
        let keys = &rendering.document.files;
        let files = [
            (keys.midi.as_ref(), "audio/midi", rendering.midi.as_deref()),
            (
                keys.piano_roll.as_ref(),
                "image/svg+xml",
                rendering.piano_roll.as_deref().map(str::as_bytes),
            ),
            (Some(&keys.document), "application/json", Some(document.as_slice())),
        ];
        for (key, content_type, bytes) in files {
            let (Some(key), Some(bytes)) = (key, bytes) else {
                continue;
            };
            if self.archive.publish(key, bytes, content_type, state, &rank).await? == Published::Outranked {
                tracing::info!(taskId = %job.task_id, state = state.name(), key = job.key, "a song or a newer callback stands: left as it is");
                return Ok(());
            }
        }
        // Also where nothing had to be written: an earlier try may have ended just before this.
        self.results
            .send(&job.task_id, &rendering.document.announcement(self.archive.bucket()))
            .await?;
        let notes = rendering.document.song.as_ref().map_or(0, |song| song.notes);
        match state {
            State::Rendered | State::Empty => {
                tracing::info!(taskId = %job.task_id, state = state.name(), notes, "done")
            }
            _ => {
                tracing::warn!(taskId = %job.task_id, state = state.name(), key = job.key, warnings = ?rendering.document.warnings, "done without a MIDI file")
            }
        }
        Ok(())
    }
}
