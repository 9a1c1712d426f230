//! The third Lambda: checks each watched task until it has a result.
//!
//! A check never trusts its message. It reads what the bucket has, [decides](mod@decide), and acts. Then it ends the watch, or
//! sends the message for the next check before its own message is deleted: a crash in between leaves two messages, which is
//! harmless.

pub mod decide;

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use suno_midi::{Outcome, TaskId, provider::api::Refusal};

use self::decide::{Facts, Step, decide, is_duplicate, learn};
use crate::{
    aws::{
        self,
        config::{self, Timeouts},
        error::in_one_line,
        queue::Queue,
    },
    batch::{self, NotDone},
    bucket::{
        Bucket,
        bodies::{BodySource, NewBody, Stored},
        keys,
        precedence::Rank,
        watches::{Watch, WatchError, WatchState},
    },
    env::{BadSetting, Env},
    messages::{
        check::{self, Cause, Check, CheckMessage},
        job::Job,
    },
    provider::{
        ProviderError,
        account::{Account, AccountSettings},
    },
    publish::Publisher,
    telemetry::{self, Unit},
    time::seconds,
};

/// How long the reconciler waits for a call to AWS, for the reasons of [`renderer::TIMEOUTS`](crate::renderer::TIMEOUTS).
pub const TIMEOUTS: Timeouts = Timeouts {
    operation: Duration::from_secs(15),
    attempt: Duration::from_secs(5),
    tries: 7,
};

/// Each invocation waits at least this long before it polls, so that the event source's `MaximumConcurrency` bounds the
/// polls per second even after crashes.
pub const PACE: Duration = Duration::from_secs(1);

/// How many times a check begins again because another writer changed the object meanwhile.
const CONFLICT_ATTEMPTS: u32 = 5;
/// When we poll again although the provider will refuse until a person does something.
const AFTER_A_LASTING_REFUSAL: Duration = Duration::from_secs(900);

/// The reconciler's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcilerSettings {
    /// The bucket of bodies, results and watched tasks.
    pub bucket: String,
    /// The queue for render jobs.
    pub render_queue_url: String,
    /// The queue for result documents.
    pub results_queue_url: String,
    /// The queue for the next check of a task.
    pub watch_queue_url: String,
    /// The account at the provider; `None` if the stack has no API key.
    pub account: Option<AccountSettings>,
}

impl ReconcilerSettings {
    /// The settings in the environment.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn from_env(env: &Env) -> Result<Self, BadSetting> {
        let url = env.url("PROVIDER_API_URL")?;
        let key_secret_id = env.get("PROVIDER_KEY_SECRET_ID").map(str::to_owned);
        Ok(Self {
            bucket: env.required("BUCKET")?,
            render_queue_url: env.required("RENDER_QUEUE_URL")?,
            results_queue_url: env.required("RESULTS_QUEUE_URL")?,
            watch_queue_url: env.required("WATCH_QUEUE_URL")?,
            account: key_secret_id.map(|key_secret_id| AccountSettings { key_secret_id, url }),
        })
    }
}

/// The reconciler and what it works with.
#[derive(Debug)]
pub struct Reconciler {
    bucket: Bucket,
    render_queue: Queue,
    publisher: Publisher,
    watch_queue: Queue,
    /// Without an API key nothing can be polled. What needs no provider is repaired nevertheless.
    account: Option<Account>,
}

/// Why a message goes back to the queue. After five receives SQS moves it to the dead-letter queue.
#[derive(Debug, Error)]
enum ReconcileError {
    #[error(transparent)]
    Aws(#[from] aws::Error),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("the event names the bucket {0}, which is not this reconciler's bucket")]
    OtherBucket(String),
    #[error("other writers of {0} were always first")]
    Conflict(String),
}

impl ReconcileError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Aws(error) => error.is_transient(),
            Self::Watch(error) => error.is_transient(),
            Self::Conflict(_) => true,
            Self::OtherBucket(_) => false,
        }
    }
}

/// The time during an invocation.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: SystemTime,
    began: Instant,
}

impl Clock {
    fn now(self) -> SystemTime {
        self.start + self.began.elapsed()
    }
}

/// A watch, and the version of its object that the next write replaces; `None` if there is no object yet.
struct Versioned {
    watch: Watch,
    version: Option<String>,
}

/// How a check ends, unless it fails.
#[derive(PartialEq, Eq)]
enum CheckOutcome {
    /// All is written and sent.
    Complete,
    /// Another writer changed the object meanwhile.
    Raced,
}

impl Reconciler {
    /// The reconciler with these settings, which polls the provider over the connections of `http`, if it has an account
    /// there. This does not call anybody yet.
    pub fn new(config: &SdkConfig, http: impl FnOnce() -> SharedHttpConnector, settings: ReconcilerSettings) -> Self {
        let bucket = Bucket::new(config::s3(config), settings.bucket);
        let sqs = aws_sdk_sqs::Client::new(config);
        let queue = |url| Queue::new(sqs.clone(), url);
        let secrets = || aws_sdk_secretsmanager::Client::new(config);
        Self {
            render_queue: queue(settings.render_queue_url),
            publisher: Publisher {
                bucket: bucket.clone(),
                results_queue: queue(settings.results_queue_url),
            },
            watch_queue: queue(settings.watch_queue_url),
            account: settings.account.map(|account| Account::new(secrets(), http(), account)),
            bucket,
        }
    }

    /// Handles each message of a batch, and returns those that must be received again. `now` is the reconciler's clock at
    /// the beginning.
    pub async fn handle(&self, event: SqsEvent, now: SystemTime) -> SqsBatchResponse {
        let clock = Clock {
            start: now,
            began: Instant::now(),
        };
        batch::each(event, async |message| {
            self.message(message.body.as_deref().unwrap_or_default(), clock).await
        })
        .await
    }

    async fn message(&self, body: &str, clock: Clock) -> Result<(), NotDone> {
        let checks = check::read(body).map_err(|error| {
            tracing::error!(%error, "not a task to watch; the message goes back to the queue");
            NotDone
        })?;
        // A task that fails must not delay the other tasks of its message.
        let mut done = Ok(());
        for check in checks {
            if let Err(error) = self.check(&check, clock).await {
                let (reason, transient) = (in_one_line(&error), error.is_transient());
                tracing::error!(taskId = %check.task_id, error = reason, transient, "not checked; the message goes back to the queue");
                done = Err(NotDone);
            }
        }
        done
    }

    async fn check(&self, check: &Check, clock: Clock) -> Result<(), ReconcileError> {
        if let Cause::Arrived(bucket) = &check.cause
            && bucket != self.bucket.name()
        {
            return Err(ReconcileError::OtherBucket(bucket.clone()));
        }
        let may_poll_at = Instant::now() + PACE;
        for _ in 0..CONFLICT_ATTEMPTS {
            if self.try_check(check, clock, may_poll_at).await? == CheckOutcome::Complete {
                return Ok(());
            }
        }
        Err(ReconcileError::Conflict(keys::watch(&check.task_id)))
    }

    /// Gathers the facts, decides, and acts.
    async fn try_check(
        &self,
        check: &Check,
        clock: Clock,
        may_poll_at: Instant,
    ) -> Result<CheckOutcome, ReconcileError> {
        let task_id = &check.task_id;
        let found = self.bucket.watch(task_id).await?;
        if matches!(&found, Some((watch, _)) if is_duplicate(check, watch)) {
            return Ok(CheckOutcome::Complete);
        }
        let result = self.bucket.result(task_id).await?;
        let bodies = self.bucket.bodies(Some(task_id), .., |_| {}).await?;
        let now = clock.now();
        let suspended_for = match &self.account {
            Some(account) => account.suspended_for(now).await,
            None => Duration::ZERO,
        };
        let facts = Facts {
            check,
            watch: found.as_ref().map(|(watch, _)| watch),
            result: result.as_ref(),
            bodies: &bodies,
            has_key: self.account.is_some(),
            suspended_for,
        };
        let watch = decide::watch(&facts, now);
        let step = decide(&facts, now);
        let version = found.as_ref().map(|(_, version)| version.clone());
        let mut task = Versioned { watch, version };
        let step = match (step, &self.account) {
            (Step::Poll, Some(account)) => match self.poll(account, &mut task, clock, may_poll_at).await? {
                Some(step) => step,
                None => return Ok(CheckOutcome::Raced),
            },
            (step, _) => step,
        };
        self.apply(step, task, clock).await
    }

    /// Polls the provider. Returns the step that its answer asks for; `None` if another writer changed the object.
    async fn poll(
        &self,
        account: &Account,
        task: &mut Versioned,
        clock: Clock,
        may_poll_at: Instant,
    ) -> Result<Option<Step<'static>>, ReconcileError> {
        let task_id = task.watch.task_id.clone();
        let provider = match account.provider(clock.now()).await {
            Ok(provider) => provider,
            // A callback may come nevertheless.
            Err(error) => {
                let (error, transient) = (in_one_line(&error), error.is_transient());
                tracing::error!(taskId = %task_id, error, transient, "the provider cannot be polled");
                count_account_refusal();
                task.watch.note = Some("the API key cannot be read, so the provider cannot be polled".to_owned());
                return Ok(Some(Step::Wait(Duration::ZERO)));
            }
        };
        sleep_until(may_poll_at).await;
        // Before it polls, the reconciler takes a lock: it writes the earliest time of the next poll.
        task.watch.mark_polling(clock.now());
        let Some(version) = self.bucket.put_watch(&task.watch, task.version.as_deref()).await? else {
            return Ok(None);
        };
        task.version = Some(version);
        let report = provider.record_info(&task_id).await;
        let now = clock.now();
        task.watch.mark_polled(now, Duration::ZERO);
        Ok(Some(match report {
            Ok(report) => learn(report, &mut task.watch, now),
            Err(error) => {
                let wait = refused(account, &task_id, &error, now).await;
                task.watch.mark_polled(now, wait);
                task.watch.note = Some(in_one_line(&error));
                Step::Wait(wait)
            }
        }))
    }

    async fn apply(&self, step: Step<'_>, mut task: Versioned, clock: Clock) -> Result<CheckOutcome, ReconcileError> {
        let task_id = task.watch.task_id.clone();
        let at_least = match step {
            Step::Nothing => return Ok(CheckOutcome::Complete),
            Step::Done => {
                task.watch.note = Some("there is a result".to_owned());
                return self.end(task, WatchState::Done).await;
            }
            Step::Expire => {
                let last = task.watch.note.as_deref().unwrap_or("nothing was learned");
                let why = format!("this task was watched for 14 days and has no result. The last check: {last}");
                self.publish(&Outcome::expired(&task_id, why)).await?;
                return self.end(task, WatchState::Expired).await;
            }
            Step::Unknown => {
                let why = "for an hour the provider did not know this task: its id may be wrong, or of another account";
                self.publish(&Outcome::unknown(&task_id, why.to_owned())).await?;
                return self.end(task, WatchState::Unknown).await;
            }
            Step::QueueJobs(bodies) => {
                for body in bodies {
                    self.queue_job(&task_id, body.object_key.clone()).await?;
                    tracing::warn!(taskId = %task_id, key = body.object_key, "this callback had no result; its job is queued again");
                }
                task.watch.last_queued = Some(seconds(clock.now()));
                task.watch.note = Some("a callback had no result; its job was queued again".to_owned());
                Duration::ZERO
            }
            Step::Keep { body, is_final } => {
                self.keep(&mut task.watch, body, is_final, clock).await?;
                Duration::ZERO
            }
            Step::WaitForCallback => {
                let note = "the stack has no API key of the provider, so it cannot poll";
                task.watch.note = Some(note.to_owned());
                Duration::ZERO
            }
            // Without an account, `decide` does not poll.
            Step::Poll => Duration::ZERO,
            Step::Wait(at_least) => at_least,
        };
        // Send first, then write: a crash in between causes one extra check, not a lost one.
        task.watch.check += 1;
        let delay = task.watch.pause(clock.now()).max(at_least);
        self.watch_queue
            .send_later(&task_id, &CheckMessage::next(&task.watch), delay)
            .await?;
        self.write(task).await
    }

    /// Stores what the provider answered, as the receiver stores a callback, and queues its job. An answer that is not final
    /// comes again with each poll, and has its job once.
    async fn keep(&self, watch: &mut Watch, body: Vec<u8>, is_final: bool, clock: Clock) -> Result<(), aws::Error> {
        let now = clock.now();
        let body = NewBody {
            task_id: watch.task_id.clone(),
            bytes: body.into(),
            source: BodySource::Poll,
            webhook_timestamp: seconds(now),
            received_at: now,
        };
        let (body_key, stored) = self.bucket.store(&body).await?;
        if is_final || stored == Stored::New {
            tracing::info!(taskId = %body.task_id, key = body_key, note = watch.note, "polled the provider; its answer is stored");
            self.queue_job(&body.task_id, body_key).await?;
            watch.last_queued = Some(seconds(clock.now()));
        }
        watch.answered |= is_final;
        Ok(())
    }

    async fn queue_job(&self, task_id: &TaskId, body_key: String) -> Result<(), aws::Error> {
        let job = Job::new(task_id.clone(), self.bucket.name(), body_key);
        self.render_queue.send(task_id, &job).await
    }

    /// Publishes a result that has no body.
    async fn publish(&self, outcome: &Outcome) -> Result<(), aws::Error> {
        let document = &outcome.document;
        let rank = Rank::without_body(document.state);
        self.publisher.publish(outcome, &rank, Some(&BTreeSet::new())).await?;
        tracing::warn!(taskId = %document.task_id, state = document.state.name(), "the task is watched no longer");
        Ok(())
    }

    async fn end(&self, mut task: Versioned, state: WatchState) -> Result<CheckOutcome, ReconcileError> {
        task.watch.state = state;
        // Messages that still wait for the task are now duplicates.
        task.watch.check += 1;
        self.write(task).await
    }

    async fn write(&self, task: Versioned) -> Result<CheckOutcome, ReconcileError> {
        let written = self.bucket.put_watch(&task.watch, task.version.as_deref()).await?;
        Ok(written.map_or(CheckOutcome::Raced, |_| CheckOutcome::Complete))
    }
}

/// The provider did not say how the task went. Returns how long to wait before the next poll.
async fn refused(account: &Account, task_id: &TaskId, error: &ProviderError, now: SystemTime) -> Duration {
    let wait = error.ask_again_after().unwrap_or(AFTER_A_LASTING_REFUSAL);
    tracing::warn!(taskId = %task_id, error = in_one_line(error), waitSeconds = wait.as_secs(), "the provider did not say how the task went; it is polled again");
    let ProviderError::Refused(refusal) = error else {
        return wait;
    };
    if let Refusal::KeyRefused { .. } | Refusal::KeyLimit { .. } | Refusal::NoCredits = refusal {
        count_account_refusal();
    }
    match refusal {
        // These are about the account, not about the task.
        Refusal::KeyRefused { .. } => account.forget_key().await,
        Refusal::RateLimited { .. }
        | Refusal::KeyLimit { .. }
        | Refusal::Maintenance { .. }
        | Refusal::Blocked { .. } => {
            account.suspend_until(now + wait).await;
        }
        _ => {}
    }
    wait
}

/// Counts a poll that the account did not allow. A person must do something.
fn count_account_refusal() {
    telemetry::emit(&[("AccountRefusals", Unit::Count, 1.0)], &[]);
}
