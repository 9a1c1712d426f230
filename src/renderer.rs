//! The second Lambda: a batch of messages → for each, done or again.

use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use thiserror::Error;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    archive::{Archive, ArchiveError, Loaded, MAX_OBJECT_BYTES, Published, Rank, since_epoch},
    jobs::{self, Job, Queue, QueueError},
    telemetry::{self, Unit},
};
use suno_midi::{
    document::{SongSummary, Source, State, render, unread},
    music::tempo::TempoChoice,
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

/// Why a job goes back to the queue. So does a message that is no job, now or ever: the queue moves it
/// to the dead-letter queue, whose alarm calls a person. To delete it here would be silence.
#[derive(Debug, Error)]
pub enum Failed {
    /// S3 failed. The queue brings the message again, and after the last time to the dead-letter queue.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// SQS failed to take the announcement: as above.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The job names a bucket that is not ours: as above.
    #[error("the job names the bucket {0}, which is not the one of this renderer")]
    OtherBucket(String),
}

impl Renderer {
    /// Renders each message of a batch; names those that must be received again. `now` is the
    /// renderer's clock.
    pub async fn handle(&self, event: SqsEvent, now: SystemTime) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for message in event.records {
            if let Some(age) = age(&message, now) {
                telemetry::emit(&[("QueueAge", Unit::Seconds, age.as_secs_f64())], &[]);
            }
            let id = message.message_id.unwrap_or_default();
            let span = tracing::info_span!("message", messageId = id);
            let body = message.body.as_deref().unwrap_or_default();
            if !self.message(body).instrument(span).await {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = id;
                response.batch_item_failures.push(failure);
            }
        }
        response
    }

    /// Whether all that the message asks for is done.
    async fn message(&self, body: &str) -> bool {
        let jobs = match jobs::read(body) {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::error!(%error, "no job; the message goes back to the queue");
                return false;
            }
        };
        // One that fails does not keep the others of its message waiting.
        let mut done = true;
        for job in jobs {
            if let Err(error) = self.job(&job).await {
                tracing::error!(taskId = %job.task_id, key = job.key, %error, "not rendered; the message goes back to the queue");
                done = false;
            }
        }
        done
    }

    async fn job(&self, job: &Job) -> Result<(), Failed> {
        if job.bucket != self.archive.bucket() {
            return Err(Failed::OtherBucket(job.bucket.clone()));
        }
        let began = Instant::now();
        let loaded = self.archive.load(&job.key).await?;
        // What cannot be read has no time, and so the lowest rank: it replaces nothing.
        let webhook_timestamp = match &loaded {
            Loaded::Body(raw) => raw.webhook_timestamp,
            Loaded::TooLarge(_) | Loaded::Gone => 0,
        };
        let source = Source {
            key: job.key.clone(),
            webhook_timestamp,
        };
        let rendering = match loaded {
            Loaded::Body(raw) => render(&job.task_id, Some(source), &raw.body, self.tempo),
            Loaded::TooLarge(bytes) => {
                let why = format!("the object has {bytes} bytes, more than the {MAX_OBJECT_BYTES} that are read");
                unread(&job.task_id, source, why)
            }
            Loaded::Gone => {
                let why = "the callback was deleted from the bucket before it was rendered".to_owned();
                unread(&job.task_id, source, why)
            }
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
        let song = rendering.document.song.as_ref();
        let notes = song.map_or(0, |song| song.notes);
        let skipped = song.map_or(0, SongSummary::skipped);
        telemetry::emit(
            &[
                ("Results", Unit::Count, 1.0),
                ("RenderTime", Unit::Milliseconds, began.elapsed().as_secs_f64() * 1e3),
                ("Notes", Unit::Count, notes as f64),
                ("SkippedNotes", Unit::Count, skipped as f64),
            ],
            &[("state", state.name()), ("taskId", job.task_id.as_str())],
        );
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

/// How long a message has been in the queue, if the event says when it was sent.
fn age(message: &SqsMessage, now: SystemTime) -> Option<Duration> {
    let sent = message.attributes.get("SentTimestamp")?.parse().ok()?;
    Some(since_epoch(now).saturating_sub(Duration::from_millis(sent)))
}
