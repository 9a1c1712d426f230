//! The second Lambda: a batch of messages → results. A message that fails goes back to the queue.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use thiserror::Error;
use tokio::time::Instant;

use suno_midi::{
    Options, Outcome, RenderOptions, RenderRequest, convert,
    document::{self, RESULTS, SongSummary, Source, State},
    format,
};

use crate::{
    aws::{
        self,
        config::{self, Timeouts},
        error::in_one_line,
        queue::Queue,
    },
    batch::{self, NotDone},
    bucket::{
        Bucket, Loaded, MAX_OBJECT_BYTES,
        precedence::Rank,
        results::{PublishOutcome, ResultDocument},
    },
    env::{BadSetting, Env},
    messages::job::{self, Job},
    publish::Publisher,
    telemetry::{self, Unit},
};

/// How long the renderer waits for a call. Nothing waits for its answer, but a message that fails is away for six minutes.
/// So the tries use all of the time: S3 may be slow, or refuse, for some seconds.
pub const TIMEOUTS: Timeouts = Timeouts {
    operation: Duration::from_secs(15),
    attempt: Duration::from_secs(5),
    tries: 7,
};

/// The renderer's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct RendererSettings {
    /// The bucket of bodies and results.
    pub bucket: String,
    /// The queue for result documents.
    pub results_queue_url: String,
    /// The stack's defaults for the files of a song.
    pub options: Options,
}

impl RendererSettings {
    /// The settings in the environment.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn from_env(env: &Env) -> Result<Self, BadSetting> {
        let options: RenderOptions = env.parsed_or_default("RENDER_OPTIONS")?;
        Ok(Self {
            bucket: env.required("BUCKET")?,
            results_queue_url: env.required("RESULTS_QUEUE_URL")?,
            options: options.into(),
        })
    }
}

/// The renderer and what it works with.
#[derive(Debug)]
pub struct Renderer {
    bucket: Bucket,
    publisher: Publisher,
    options: Options,
}

/// Why a job goes back to the queue. After five receives SQS moves it to the dead-letter queue.
///
/// Unparseable messages are returned too, so that they reach the dead-letter queue and its alarm.
#[derive(Debug, Error)]
enum RenderError {
    #[error(transparent)]
    Aws(#[from] aws::Error),
    #[error("the job names the bucket {0}, which is not this renderer's bucket")]
    OtherBucket(String),
}

impl RenderError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Aws(error) if error.is_transient())
    }
}

/// What a job finds published for its task.
#[derive(Default)]
struct Previous {
    /// The request that the result answers, if it is of the same body.
    request: Option<RenderRequest>,
    /// The keys of its objects.
    object_keys: BTreeSet<String>,
}

impl Renderer {
    /// The renderer with these settings. This does not call AWS yet.
    pub fn new(config: &SdkConfig, settings: RendererSettings) -> Self {
        let bucket = Bucket::new(config::s3(config), settings.bucket);
        Self {
            publisher: Publisher {
                bucket: bucket.clone(),
                results_queue: Queue::new(aws_sdk_sqs::Client::new(config), settings.results_queue_url),
            },
            bucket,
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

    async fn message(&self, body: &str) -> Result<(), NotDone> {
        let jobs = job::read(body).map_err(|error| {
            tracing::error!(%error, "not a job; the message goes back to the queue");
            NotDone
        })?;
        // A job that fails must not delay the other jobs of its message.
        let mut done = Ok(());
        for job in jobs {
            if let Err(error) = self.job(&job).await {
                let (reason, transient) = (in_one_line(&error), error.is_transient());
                tracing::error!(taskId = %job.task_id, key = job.body_key, error = reason, transient, "not rendered; the message goes back to the queue");
                done = Err(NotDone);
            }
        }
        done
    }

    async fn job(&self, job: &Job) -> Result<(), RenderError> {
        if job.bucket != self.bucket.name() {
            return Err(RenderError::OtherBucket(job.bucket.clone()));
        }
        let began = Instant::now();
        let previous = self.previous(job).await?;
        let request = job.asked.or(previous.as_ref().and_then(|previous| previous.request));
        let options = request.map_or(self.options, |request| request.apply_to(self.options));
        let (mut outcome, webhook_timestamp, polled) = match self.bucket.load(&job.body_key).await? {
            Loaded::Found(body) => {
                let outcome = convert(&job.task_id, &body.bytes, &options);
                (outcome, body.webhook_timestamp(), body.is_polled())
            }
            Loaded::TooLarge(bytes) => {
                let why = format!("the object has {bytes} bytes, more than the {MAX_OBJECT_BYTES} that are read");
                (Outcome::unread(&job.task_id, why), UNREAD, false)
            }
            Loaded::Missing => {
                let why = "the callback was deleted from the bucket before it was rendered".to_owned();
                (Outcome::unread(&job.task_id, why), UNREAD, false)
            }
        };
        let rank = Rank::new(outcome.document.state, webhook_timestamp, &job.body_key);
        let rank = rank.with_request(request.map_or(0, |request| request.at));
        outcome.document.source = Some(Source {
            request,
            ..Source::new(job.body_key.clone(), webhook_timestamp, polled)
        });
        let before = previous.as_ref().map(|previous| &previous.object_keys);
        let published = self.publisher.publish(&outcome, &rank, before).await?;
        if published != PublishOutcome::Outranked {
            report(job, &outcome, began.elapsed());
        }
        Ok(())
    }

    /// What was published for the task; `None` if nothing was. A job without a request renders the result of its body again
    /// with the request before it, perhaps better, if this release is newer.
    async fn previous(&self, job: &Job) -> Result<Option<Previous>, aws::Error> {
        let document = document::object_name(&job.task_id, format::DOCUMENT);
        let published = match self.bucket.load(&document).await? {
            Loaded::Found(document) => document.bytes,
            Loaded::TooLarge(_) => return Ok(Some(Previous::default())),
            Loaded::Missing => return Ok(None),
        };
        // If we do not understand the document, the time of its request still outranks this job.
        let Ok(published) = serde_json::from_slice::<ResultDocument>(&published) else {
            return Ok(Some(Previous::default()));
        };
        let of_task = format!("{RESULTS}{}", job.task_id);
        let is_of_task = |key: &&str| {
            let rest = key.strip_prefix(&of_task);
            rest.is_some_and(|rest| rest.starts_with(['.', '/']))
        };
        let object_keys = published.object_keys().into_iter().filter(is_of_task);
        let is_same_body = published.body_key() == Some(&job.body_key);
        Ok(Some(Previous {
            request: published.request().filter(|_| is_same_body),
            object_keys: object_keys.map(str::to_owned).collect(),
        }))
    }
}

/// The timestamp of a body that cannot be read: its result ranks lowest and replaces no other.
const UNREAD: u64 = 0;

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
        tracing::error!(taskId = %job.task_id, key = job.body_key, members = ?outcome.document.members, "THE NOTES OF THIS BODY CANNOT BE READ. It is kept: a later release may read it. Please report the names of its members.");
        return;
    }
    match state {
        State::Rendered | State::Empty => {
            tracing::info!(taskId = %job.task_id, state = state.name(), notes, "done")
        }
        _ => {
            tracing::warn!(taskId = %job.task_id, state = state.name(), key = job.body_key, warnings = ?outcome.document.warnings, "done without a MIDI file")
        }
    }
}
