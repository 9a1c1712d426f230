//! The second Lambda: a batch of messages → results. A message that fails goes back to the queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::Instant;

use suno_midi::{
    Options, Outcome, RenderRequest, convert,
    document::{self, RESULTS, SongSummary, Source, State},
    format,
};

use crate::{
    archive::{Archive, ArchiveError, Loaded, MAX_OBJECT_BYTES, Published},
    batch,
    call_error::in_one_line,
    clients::{self, Patience},
    jobs::{self, Job},
    precedence::Rank,
    queue::{Queue, QueueError},
    results::Results,
    settings::RendererSettings,
    telemetry::{self, Unit},
};

/// How long the renderer waits for a call. Nobody waits for its answer, but a message that fails is away for six minutes.
/// So the tries use all of the time: S3 may be slow, or refuse, for some seconds.
pub const PATIENCE: Patience = Patience {
    operation: Duration::from_secs(15),
    attempt: Duration::from_secs(5),
    tries: 7,
};

/// The renderer and what it works with.
#[derive(Debug)]
pub struct Renderer {
    archive: Archive,
    results: Results,
    options: Options,
}

/// Why a job goes back to the queue. After five receives SQS moves it to the dead-letter queue.
///
/// Unparseable messages go back too, so that they reach the dead-letter queue and its alarm. If we deleted them, nobody
/// would notice.
#[derive(Debug, Error)]
pub enum Failed {
    /// S3 failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// SQS did not take the announcement.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The job names a bucket that is not ours.
    #[error("the job names the bucket {0}, which is not this renderer's bucket")]
    OtherBucket(String),
}

impl Failed {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Archive(error) => error.is_transient(),
            Self::Queue(error) => error.is_transient(),
            Self::OtherBucket(_) => false,
        }
    }
}

impl Renderer {
    /// The renderer with these settings. This does not call AWS yet.
    pub fn new(config: &SdkConfig, settings: RendererSettings) -> Self {
        let archive = Archive::new(clients::s3(config), settings.bucket);
        Self {
            results: Results {
                archive: archive.clone(),
                queue: Queue::new(aws_sdk_sqs::Client::new(config), settings.results_queue_url),
            },
            archive,
            options: settings.options,
        }
    }

    /// Handles each message of a batch, and returns those that must be received again. `now` is the renderer's clock.
    pub async fn handle(&self, event: SqsEvent, now: SystemTime) -> SqsBatchResponse {
        batch::each(event, async |message| {
            if let Some(age) = batch::age(message, now) {
                telemetry::emit(&[("QueueAge", Unit::Seconds, age.as_secs_f64())], &[]);
            }
            self.message(message.body.as_deref().unwrap_or_default()).await
        })
        .await
    }

    /// Does everything that a message asks for. Returns whether all of it is done.
    async fn message(&self, body: &str) -> bool {
        let jobs = match jobs::read(body) {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::error!(%error, "not a job; the message goes back to the queue");
                return false;
            }
        };
        // A job that fails must not delay the other jobs of its message.
        let mut done = true;
        for job in jobs {
            if let Err(error) = self.job(&job).await {
                let (reason, transient) = (in_one_line(&error), error.is_transient());
                tracing::error!(taskId = %job.task_id, key = job.object, error = reason, transient, "not rendered; the message goes back to the queue");
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
        let standing = self.standing(job).await?;
        let asked = job.asked.or(standing.as_ref().and_then(|standing| standing.asked));
        let options = asked.map_or(self.options, |asked| asked.apply_to(self.options));
        // A body that cannot be read has no timestamp. With 0, its result ranks lowest and replaces no other.
        let source = |webhook_timestamp, asked_for| Source {
            request: asked,
            ..Source::new(job.object.clone(), webhook_timestamp, asked_for)
        };
        let (mut outcome, source) = match self.archive.load(&job.object).await? {
            Loaded::Body(raw) => (
                convert(&job.task_id, &raw.body, &options),
                source(raw.webhook_timestamp, raw.asked_for),
            ),
            Loaded::TooLarge(bytes) => {
                let why = format!("the object has {bytes} bytes, more than the {MAX_OBJECT_BYTES} that are read");
                (Outcome::unread(&job.task_id, why), source(0, false))
            }
            Loaded::Gone => {
                let why = "the callback was deleted from the bucket before it was rendered".to_owned();
                (Outcome::unread(&job.task_id, why), source(0, false))
            }
        };
        let asked_at = asked.map_or(0, |asked| asked.at);
        let rank = Rank::new(outcome.document.state, source.webhook_timestamp, &job.object).asked_at(asked_at);
        outcome.document.source = Some(source);
        let before = standing.as_ref().map(|standing| &standing.objects);
        let published = self.results.deliver::<Failed>(&outcome, &rank, before).await?;
        if published != Published::Outranked {
            report(job, &outcome, began.elapsed());
        }
        Ok(())
    }

    /// What was published for the task; `None` if nothing was. A job without a request renders the result of its body again
    /// as it was asked for, perhaps better, if this release is newer.
    async fn standing(&self, job: &Job) -> Result<Option<Standing>, ArchiveError> {
        let document = document::object_name(&job.task_id, format::DOCUMENT);
        let published = match self.archive.load(&document).await? {
            Loaded::Body(published) => published.body,
            Loaded::TooLarge(_) => return Ok(Some(Standing::default())),
            Loaded::Gone => return Ok(None),
        };
        // If we do not understand the document, its time of asking still outranks this job.
        let published: PublishedDocument = serde_json::from_slice(&published).unwrap_or_default();
        let source = published.source.filter(|source| source.object == job.object);
        let parts = published.song.into_iter().flat_map(|song| song.instruments);
        let objects = published.files.into_values().chain(parts.filter_map(|part| part.file));
        let of_task = format!("{RESULTS}{}", job.task_id);
        let is_of_task = |object: &str| {
            object
                .strip_prefix(&of_task)
                .is_some_and(|rest| rest.starts_with(['.', '/']))
        };
        Ok(Some(Standing {
            asked: source.and_then(|source| source.request),
            objects: objects.filter(|object| is_of_task(object)).collect(),
        }))
    }
}

/// What a job finds published for its task.
#[derive(Default)]
struct Standing {
    /// The request that the result answers, if it is of the same body.
    asked: Option<RenderRequest>,
    /// The names of its objects.
    objects: BTreeSet<String>,
}

/// What we read of a published document. An older release may have written it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PublishedDocument {
    source: Option<Source>,
    files: BTreeMap<String, String>,
    song: Option<PublishedSong>,
}

#[derive(Deserialize)]
struct PublishedSong {
    #[serde(default)]
    instruments: Vec<PublishedPart>,
}

#[derive(Deserialize)]
struct PublishedPart {
    file: Option<String>,
}

/// Writes the metrics and the log line of a result.
fn report(job: &Job, outcome: &Outcome, took: Duration) {
    let (state, song) = (outcome.document.state, outcome.document.song.as_ref());
    let notes = song.map_or(0, |song| song.notes);
    let skipped = song.map_or(0, SongSummary::skipped);
    telemetry::emit(
        &[
            ("Results", Unit::Count, 1.0),
            ("RenderTime", Unit::Milliseconds, took.as_secs_f64() * 1e3),
            ("Notes", Unit::Count, notes as f64),
            ("SkippedNotes", Unit::Count, skipped as f64),
        ],
        &[("state", state.name()), ("taskId", job.task_id.as_str())],
    );
    if state == State::Unreadable {
        let task_id = ("taskId", job.task_id.as_str());
        telemetry::emit(&[("UnreadableBodies", Unit::Count, 1.0)], &[task_id]);
        tracing::error!(taskId = %job.task_id, key = job.object, members = ?outcome.document.members, "THE NOTES OF THIS BODY CANNOT BE READ. It is kept: a later release may read it. Please report the names of its members.");
        return;
    }
    match state {
        State::Rendered | State::Empty => {
            tracing::info!(taskId = %job.task_id, state = state.name(), notes, "done")
        }
        _ => {
            tracing::warn!(taskId = %job.task_id, state = state.name(), key = job.object, warnings = ?outcome.document.warnings, "done without a MIDI file")
        }
    }
}
