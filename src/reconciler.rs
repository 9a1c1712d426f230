//! The third Lambda: looks at each watched task until it has a result.
//!
//! A look never trusts its message. It compares what the bucket has, and asks the provider only if the bucket has nothing
//! that could become a result. Then it ends the watch, or sends the message for the next look before its own message is
//! deleted: a crash in between leaves two messages, which is harmless.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use suno_midi::{
    Outcome, TaskId, agree,
    document::State as ResultState,
    provider::api::{Refusal, Report},
};

use crate::{
    account::Account,
    archive::{Archive, ArchiveError, Arrival, Loaded, Origin, Standing, Stored, StoredBody},
    batch,
    call_error::in_one_line,
    clients::{self, Patience},
    intake::{Intake, IntakeError},
    jobs::Job,
    objects,
    precedence::Rank,
    provider::ProviderError,
    queue::{Queue, QueueError},
    results::Results,
    settings::ReconcilerSettings,
    telemetry::{self, Unit},
    watch::{self, Cause, LONGEST, Message, NotAWatch, Request, State, UNKNOWN_FOR, Watch, seconds},
};

/// How long the reconciler waits for a call to AWS, for the reasons of [`renderer::PATIENCE`](crate::renderer::PATIENCE).
pub const PATIENCE: Patience = Patience {
    operation: Duration::from_secs(15),
    attempt: Duration::from_secs(5),
    tries: 7,
};

/// How long after its beginning a look asks at the earliest. Whatever its invocation follows, an answer or a crash, the
/// question before it reached the provider at least so long ago. So all looks together ask at most as often each second as
/// the event source allows invocations at once (`MaximumConcurrency`).
pub const PACE: Duration = Duration::from_secs(1);

/// How many times a look begins again because somebody else wrote the object meanwhile.
const CONFLICT_ATTEMPTS: u32 = 5;
/// When we ask again although the provider will refuse again until a person does something.
const AFTER_A_LASTING_REFUSAL: Duration = Duration::from_secs(900);

/// The reconciler and what it works with.
#[derive(Debug)]
pub struct Reconciler {
    archive: Archive,
    intake: Intake,
    results: Results,
    watch_queue: Queue,
    /// Without an API key nothing can be asked. What needs no provider is repaired all the same.
    account: Option<Account>,
    /// Whether a callback's song needs the provider's confirmation.
    verifies: bool,
}

/// Why a message goes back to the queue. After five receives SQS moves it to the dead-letter queue.
#[derive(Debug, Error)]
pub enum Failed {
    /// S3 failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// SQS failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The object of the task is something else.
    #[error("{object} cannot be used")]
    Object {
        /// Its name.
        object: String,
        /// Why.
        #[source]
        source: NotAWatch,
    },
    /// The object is larger than any that we write.
    #[error("{0} is too large")]
    TooLarge(String),
    /// The event is about a bucket that is not ours.
    #[error("the event names the bucket {0}, which is not this reconciler's bucket")]
    OtherBucket(String),
    /// Others wrote the object at each of our tries.
    #[error("other writers of {0} were always first")]
    Raced(String),
}

impl Failed {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Archive(error) => error.is_transient(),
            Self::Queue(error) => error.is_transient(),
            Self::Raced(_) => true,
            Self::Object { .. } | Self::TooLarge(_) | Self::OtherBucket(_) => false,
        }
    }
}

impl From<IntakeError> for Failed {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Archive(error) => Self::Archive(error),
            IntakeError::Queue(error) => Self::Queue(error),
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

/// The object of a task as it was seen.
struct Seen {
    watch: Watch,
    /// The version that the next write replaces; `None` if there is no object yet.
    version: Option<String>,
}

/// How a look ends, unless it fails.
enum Looked {
    /// All is written and sent.
    Complete,
    /// Somebody else wrote the object meanwhile.
    Raced,
}

/// What the bucket has of a task.
enum Evidence {
    /// There is a result, and every other body had its chance.
    Result,
    /// There is no result of these bodies, and no job that could be on its way.
    Unrendered(Vec<StoredBody>),
    /// There is a result of this body, and the provider has to be asked whether it is right.
    Unconfirmed(String),
    /// There are bodies whose jobs may be on their way. Nobody needs to look again before this time has passed.
    Underway(Duration),
    /// Nothing that could become a result.
    Nothing,
}

impl Reconciler {
    /// The reconciler with these settings, which asks the provider over the connections of `http`, if it has an account
    /// there. This does not call anybody yet.
    pub fn new(config: &SdkConfig, http: impl FnOnce() -> SharedHttpConnector, settings: ReconcilerSettings) -> Self {
        let archive = Archive::new(clients::s3(config), settings.bucket);
        let sqs = aws_sdk_sqs::Client::new(config);
        let queue = |url| Queue::new(sqs.clone(), url);
        let secrets = || aws_sdk_secretsmanager::Client::new(config);
        Self {
            intake: Intake {
                archive: archive.clone(),
                render_queue: queue(settings.render_queue_url),
            },
            results: Results {
                archive: archive.clone(),
                queue: queue(settings.results_queue_url),
            },
            watch_queue: queue(settings.watch_queue_url),
            verifies: settings.verify_bodies && settings.account.is_some(),
            account: settings.account.map(|account| Account::new(secrets(), http(), account)),
            archive,
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

    /// Does everything that a message asks for. Returns whether all of it is done.
    async fn message(&self, body: &str, clock: Clock) -> bool {
        let requests = match watch::read(body) {
            Ok(requests) => requests,
            Err(error) => {
                tracing::error!(%error, "not a task to watch; the message goes back to the queue");
                return false;
            }
        };
        let mut done = true;
        for request in requests {
            if let Err(error) = self.request(&request, clock).await {
                let (reason, transient) = (in_one_line(&error), error.is_transient());
                tracing::error!(taskId = %request.task_id, error = reason, transient, "not looked at; the message goes back to the queue");
                done = false;
            }
        }
        done
    }

    async fn request(&self, request: &Request, clock: Clock) -> Result<(), Failed> {
        if let Cause::Arrived(bucket) = &request.cause
            && bucket != self.archive.bucket()
        {
            return Err(Failed::OtherBucket(bucket.clone()));
        }
        let may_ask_at = Instant::now() + PACE;
        for _ in 0..CONFLICT_ATTEMPTS {
            if let Looked::Complete = self.look(request, clock, may_ask_at).await? {
                return Ok(());
            }
        }
        Err(Failed::Raced(objects::watch(&request.task_id)))
    }

    async fn look(&self, request: &Request, clock: Clock, may_ask_at: Instant) -> Result<Looked, Failed> {
        let task_id = &request.task_id;
        let seen = self.seen(task_id).await?;
        let now = clock.now();
        if let (Cause::Look(look), Some(Seen { watch, .. })) = (&request.cause, &seen)
            && (*look < watch.look || watch.state != State::Watching)
        {
            // A duplicate: its look has taken place. The number is only compared and never taken over, because whoever may
            // send messages could send any number.
            return Ok(Looked::Complete);
        }
        let evidence = self.evidence(task_id, seen.as_ref(), now).await?;
        let seen = match (seen, &evidence) {
            // A callback whose song is there, as nearly all are: nobody needs an object.
            (None, Evidence::Result) => return Ok(Looked::Complete),
            (Some(seen), Evidence::Result) if seen.watch.state == State::Done => return Ok(Looked::Complete),
            (None, _) => Seen {
                watch: Watch::new(task_id.clone(), request.cause.source(), now),
                version: None,
            },
            (Some(seen), _) if seen.watch.state == State::Watching => seen,
            (Some(seen), _) => Seen {
                watch: seen.watch.again(request.cause.source(), now),
                ..seen
            },
        };
        if let Evidence::Result = evidence {
            return self.end(seen, State::Done, "there is a result").await;
        }
        if seen.watch.age(now) >= LONGEST {
            return match evidence {
                Evidence::Unconfirmed(_) => {
                    self.end(seen, State::Done, "the provider never confirmed the callback")
                        .await
                }
                _ => self.expire(seen).await,
            };
        }
        match evidence {
            Evidence::Unrendered(bodies) => self.queue_again(seen, &bodies, clock).await,
            Evidence::Underway(wait) => self.look_again(seen, clock, wait).await,
            Evidence::Unconfirmed(callback) => self.ask(seen, Some(&callback), clock, may_ask_at).await,
            Evidence::Nothing | Evidence::Result => self.ask(seen, None, clock, may_ask_at).await,
        }
    }

    async fn seen(&self, task_id: &TaskId) -> Result<Option<Seen>, Failed> {
        let object = objects::watch(task_id);
        match self.archive.load(&object).await? {
            Loaded::Gone => Ok(None),
            Loaded::TooLarge(_) => Err(Failed::TooLarge(object)),
            Loaded::Body(found) => match Watch::read(task_id, &found.body) {
                Ok(watch) => Ok(Some(Seen {
                    watch,
                    version: Some(found.etag),
                })),
                Err(source) => Err(Failed::Object { object, source }),
            },
        }
    }

    /// Finds out what the bucket has.
    async fn evidence(&self, task_id: &TaskId, seen: Option<&Seen>, now: SystemTime) -> Result<Evidence, ArchiveError> {
        let standing = self.archive.standing(task_id).await?;
        let watch = seen.map(|seen| &seen.watch);
        let is_final = |standing: &Standing| {
            use ResultState::{Empty, Failed, Rendered};
            let state = standing.state.as_deref().and_then(ResultState::named);
            // A body that says nothing may outrank the provider's answer. Asking again gives the same answer.
            let is_answered = standing.source.is_some() && watch.is_some_and(|watch| watch.answered);
            is_answered || matches!(state, Some(Rendered | Empty | Failed))
        };
        let has_result = standing.as_ref().is_some_and(is_final);
        let source = standing.and_then(|standing| standing.source);
        let mut bodies = self.archive.bodies(Some(task_id), .., |_| {}).await?;
        if let Some(source) = source.as_ref().filter(|_| has_result && self.verifies)
            && is_unconfirmed(source, &bodies, now)
        {
            return Ok(Evidence::Unconfirmed(source.clone()));
        }
        // A result says nothing about other bodies than its own, not even about older ones: their jobs may be lost. But no
        // callback can replace an answer that decides.
        let is_decided = source.as_deref().is_some_and(objects::is_deciding);
        bodies.retain(|body| {
            let is_weaker = is_decided && !objects::is_deciding(&body.object);
            Some(&body.object) != source.as_ref() && !is_weaker
        });
        let Some(newest) = bodies.iter().map(|body| body.stored).max() else {
            return Ok(match has_result {
                true => Evidence::Result,
                false => Evidence::Nothing,
            });
        };
        // An answer that decides would stand if its job were done.
        let is_overdue = !is_decided && bodies.iter().any(|body| objects::is_deciding(&body.object));
        Ok(match watch.and_then(|watch| watch.jobs_have(newest, now)) {
            None => Evidence::Unrendered(bodies),
            // With a result, only a better one can come.
            Some(left) if left > Duration::ZERO && has_result => Evidence::Underway(left),
            Some(left) if left > Duration::ZERO => Evidence::Underway(Duration::ZERO),
            // Their jobs are done, and what stands has precedence.
            Some(_) if has_result && !is_overdue => Evidence::Result,
            Some(_) if watch.is_some_and(|watch| watch.is_next_job_due(now)) => Evidence::Unrendered(bodies),
            // Perhaps the provider has what the body that was rendered does not have.
            Some(_) if source.is_some() && !is_overdue => Evidence::Nothing,
            Some(_) => Evidence::Underway(Duration::ZERO),
        })
    }

    async fn queue_again(&self, mut seen: Seen, bodies: &[StoredBody], clock: Clock) -> Result<Looked, Failed> {
        for body in bodies {
            let job = Job::new(body.task_id.clone(), self.archive.bucket(), body.object.clone());
            self.intake.render_queue.send(&body.task_id, &job).await?;
            tracing::warn!(taskId = %body.task_id, key = body.object, "this callback had no result; its job is queued again");
        }
        seen.watch.last_queued = Some(seconds(clock.now()));
        seen.watch.said = Some("a callback had no result; its job was queued again".to_owned());
        self.look_again(seen, clock, Duration::ZERO).await
    }

    /// Asks the provider, if that is possible now: for a song, or whether the one of this callback is right.
    async fn ask(
        &self,
        mut seen: Seen,
        callback: Option<&str>,
        clock: Clock,
        may_ask_at: Instant,
    ) -> Result<Looked, Failed> {
        let Some(account) = &self.account else {
            seen.watch.said = Some("the stack has no API key of the provider, so nobody can be asked".to_owned());
            return self.look_again(seen, clock, Duration::ZERO).await;
        };
        let now = clock.now();
        let wait = seen.watch.must_not_ask_for(now).max(account.is_quiet_for(now).await);
        if wait > Duration::ZERO {
            return self.look_again(seen, clock, wait).await;
        }
        let provider = match account.provider(now).await {
            Ok(provider) => provider,
            // A callback may come nevertheless.
            Err(error) => {
                let (said, transient) = (in_one_line(&error), error.is_transient());
                tracing::error!(taskId = %seen.watch.task_id, error = said, transient, "the provider cannot be asked");
                count_account_refusal();
                seen.watch.said = Some("the API key cannot be read, so nobody can be asked".to_owned());
                return self.look_again(seen, clock, Duration::ZERO).await;
            }
        };
        sleep_until(may_ask_at).await;
        // Written before the question, so that no other look asks meanwhile.
        seen.watch.asking(clock.now());
        let Some(mut seen) = self.write(seen).await? else {
            return Ok(Looked::Raced);
        };
        let task_id = seen.watch.task_id.clone();
        let report = provider.record_info(&task_id).await;
        let now = clock.now();
        seen.watch.asked(now, Duration::ZERO);
        match report {
            Ok(Report::Done(body)) => {
                let said = "the provider has the song";
                self.take(seen, body, said, callback, clock).await
            }
            Ok(Report::Failed(body)) => {
                let said = "the provider could not transcribe the song";
                self.take(seen, body, said, callback, clock).await
            }
            Ok(Report::Unreadable(body)) => self.keep_unreadable(seen, body, clock).await,
            Ok(Report::Pending) => {
                seen.watch.unknown_since = None;
                seen.watch.said = Some("the provider has not finished".to_owned());
                self.look_again(seen, clock, Duration::ZERO).await
            }
            Ok(Report::Unknown) => {
                let since = *seen.watch.unknown_since.get_or_insert(seconds(now));
                seen.watch.said = Some("the provider does not know the task".to_owned());
                if seconds(now).saturating_sub(since) >= UNKNOWN_FOR.as_secs() {
                    if callback.is_some() {
                        let said = "the provider does not know the task, so it cannot confirm the callback";
                        return self.end(seen, State::Done, said).await;
                    }
                    let why =
                        "for an hour the provider did not know this task: its id may be wrong, or of another account";
                    let outcome = Outcome::unknown(&task_id, why.to_owned());
                    return self.end_with(seen, State::Unknown, &outcome).await;
                }
                self.look_again(seen, clock, Duration::ZERO).await
            }
            Err(error) => self.refused(seen, account, &error, clock).await,
        }
    }

    /// Archives what the provider answered, as the receiver archives a callback.
    async fn take(
        &self,
        mut seen: Seen,
        body: Vec<u8>,
        said: &str,
        callback: Option<&str>,
        clock: Clock,
    ) -> Result<Looked, Failed> {
        let now = clock.now();
        if let Some(callback) = callback {
            self.compare(&seen.watch.task_id, callback, &body).await?;
        }
        let origin = if self.verifies {
            Origin::Verification
        } else {
            Origin::Poll
        };
        let arrival = answer(&seen, body, origin, now);
        let taken = self.intake.take(&arrival).await?;
        tracing::info!(taskId = %arrival.task_id, key = taken.object, said, "asked the provider; its answer is archived");
        seen.watch.last_queued = Some(seconds(clock.now()));
        seen.watch.answered = true;
        seen.watch.unknown_since = None;
        seen.watch.said = Some(said.to_owned());
        self.look_again(seen, clock, Duration::ZERO).await
    }

    /// Archives an answer that we cannot read, before the provider deletes what it is about. It decides nothing, and the
    /// provider is asked again. If a crash comes before its job is sent, the next look sends it.
    async fn keep_unreadable(&self, mut seen: Seen, body: Vec<u8>, clock: Clock) -> Result<Looked, Failed> {
        let arrival = answer(&seen, body, Origin::Poll, clock.now());
        let (object, stored) = self.archive.store(&arrival).await?;
        if stored == Stored::New {
            let job = Job::new(arrival.task_id.clone(), self.archive.bucket(), object);
            self.intake.render_queue.send(&arrival.task_id, &job).await?;
            seen.watch.last_queued = Some(seconds(clock.now()));
        }
        seen.watch.unknown_since = None;
        seen.watch.said = Some("the provider's answer has no notes that this version can read".to_owned());
        self.look_again(seen, clock, Duration::ZERO).await
    }

    /// Tells the operator if a callback says something else than the provider: somebody may have a valid signature.
    async fn compare(&self, task_id: &TaskId, callback: &str, answer: &[u8]) -> Result<(), ArchiveError> {
        if let Loaded::Body(raw) = self.archive.load(callback).await?
            && !agree(&raw.body, answer)
        {
            tracing::error!(taskId = %task_id, key = callback, "THIS CALLBACK IS NOT WHAT THE PROVIDER SAYS. The provider's answer replaces its song. If the callback is forged, change the signing key.");
            telemetry::emit(
                &[("ContradictedCallbacks", Unit::Count, 1.0)],
                &[("taskId", task_id.as_str())],
            );
        }
        Ok(())
    }

    /// The provider did not say how the task went.
    async fn refused(
        &self,
        mut seen: Seen,
        account: &Account,
        error: &ProviderError,
        clock: Clock,
    ) -> Result<Looked, Failed> {
        let now = clock.now();
        let wait = error.ask_again_after().unwrap_or(AFTER_A_LASTING_REFUSAL);
        let (said, task_id) = (in_one_line(error), &seen.watch.task_id);
        tracing::warn!(taskId = %task_id, error = said, waitSeconds = wait.as_secs(), "the provider did not say how the task went; it is asked again");
        if let ProviderError::Refused(Refusal::KeyRefused { .. } | Refusal::KeyLimit { .. } | Refusal::NoCredits) =
            error
        {
            count_account_refusal();
        }
        match error {
            // These are about the account, not about the task.
            ProviderError::Refused(Refusal::KeyRefused { .. }) => account.forget_key().await,
            ProviderError::Refused(
                Refusal::RateLimited { .. }
                | Refusal::KeyLimit { .. }
                | Refusal::Maintenance { .. }
                | Refusal::Blocked { .. },
            ) => account.keep_quiet_until(now + wait).await,
            _ => {}
        }
        seen.watch.asked(now, wait);
        seen.watch.said = Some(said);
        self.look_again(seen, clock, wait).await
    }

    async fn expire(&self, seen: Seen) -> Result<Looked, Failed> {
        let last = seen.watch.said.as_deref().unwrap_or("nothing was learned");
        let why = format!("this task was watched for 14 days and has no result. The last look said: {last}");
        let outcome = Outcome::expired(&seen.watch.task_id, why);
        self.end_with(seen, State::Expired, &outcome).await
    }

    /// Ends a watch with a result that no body gave.
    async fn end_with(&self, seen: Seen, state: State, outcome: &Outcome) -> Result<Looked, Failed> {
        let rank = Rank::without_body(outcome.document.state);
        self.results
            .deliver::<Failed>(outcome, &rank, Some(&BTreeSet::new()))
            .await?;
        tracing::warn!(taskId = %seen.watch.task_id, state = outcome.document.state.name(), "the task is watched no longer");
        let said = seen.watch.said.clone().unwrap_or_default();
        self.end(seen, state, &said).await
    }

    async fn end(&self, mut seen: Seen, state: State, said: &str) -> Result<Looked, Failed> {
        seen.watch.state = state;
        seen.watch.said = Some(said.to_owned());
        // Messages that still wait for the task are now duplicates.
        seen.watch.look += 1;
        Ok(self.write(seen).await?.map_or(Looked::Raced, |_| Looked::Complete))
    }

    /// Sends the message for the next look, not before `wait`, and writes the object. In this order: without the message
    /// nobody would look again, and without the number in the object the message only counts as new.
    async fn look_again(&self, mut seen: Seen, clock: Clock, wait: Duration) -> Result<Looked, Failed> {
        seen.watch.look += 1;
        let delay = seen.watch.pause(clock.now()).max(wait);
        let message = Message::next(&seen.watch);
        self.watch_queue
            .send_later(&seen.watch.task_id, &message, delay)
            .await?;
        Ok(self.write(seen).await?.map_or(Looked::Raced, |_| Looked::Complete))
    }

    /// Writes the object; `None` if somebody else wrote it meanwhile.
    async fn write(&self, seen: Seen) -> Result<Option<Seen>, Failed> {
        let object = objects::watch(&seen.watch.task_id);
        let bytes = match seen.watch.to_json() {
            Ok(bytes) => bytes,
            Err(error) => {
                let source = NotAWatch::Unreadable(error);
                return Err(Failed::Object { object, source });
            }
        };
        let written = self.archive.replace(&object, bytes, seen.version.as_deref()).await?;
        Ok(written.map(|version| Seen {
            version: Some(version),
            ..seen
        }))
    }
}

/// What the provider answered, as it is archived.
fn answer(seen: &Seen, body: Vec<u8>, origin: Origin, now: SystemTime) -> Arrival {
    Arrival {
        task_id: seen.watch.task_id.clone(),
        body: body.into(),
        origin,
        webhook_timestamp: seconds(now),
        received_at: now,
    }
}

/// Counts a question that the account did not allow. A person must do something.
fn count_account_refusal() {
    telemetry::emit(&[("AccountRefusals", Unit::Count, 1.0)], &[]);
}

/// Whether the provider has to be asked about the body of a result: it was not asked yet, and still has the task.
fn is_unconfirmed(source: &str, bodies: &[StoredBody], now: SystemTime) -> bool {
    let is_asked = bodies.iter().any(|body| objects::is_deciding(&body.object));
    let body = bodies.iter().find(|body| body.object == source);
    !is_asked && body.is_some_and(|body| now.duration_since(body.stored).unwrap_or_default() < LONGEST)
}
