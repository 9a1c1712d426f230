//! The first Lambda: request → answer.
//!
//! It verifies the signature and hands the body to the [`Intake`], or, if callbacks are only [hints](crate::hint), the task
//! to the watch queue; only then it answers 200. If the provider gets any other answer, or none, it calls again.

use std::{
    borrow::Cow,
    str::FromStr,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use bytes::Bytes;
use lambda_http::{
    Body, Request, Response,
    http::{HeaderMap, StatusCode, header},
    request::LambdaRequest,
};
use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, timeout};

use suno_midi::{
    TaskId, UnfitTaskId,
    provider::{
        self, NotJson,
        callback::{self, Callback},
        signature::{Claim, Rejection, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER},
        task_ids::find_task_ids,
    },
};

use crate::{
    aws::{
        self,
        config::{self, Timeouts},
        error::in_one_line,
        queue::Queue,
        secrets::{KeyRing, KeysError},
    },
    bucket::{
        Bucket,
        bodies::{BodySource, NewBody},
    },
    env::{BadSetting, Env},
    hint::Hints,
    intake::Intake,
    telemetry::{self, Unit},
    time::since_epoch,
};

/// How long an answer may take. The provider gives up after 15 s, which must also cover a cold start.
pub const DEADLINE: Duration = Duration::from_secs(9);

/// How long the receiver waits for a call. Its three calls in a row, with its tries, end within [`DEADLINE`] unless
/// most of them are slow.
pub const TIMEOUTS: Timeouts = Timeouts {
    operation: Duration::from_secs(4),
    attempt: Duration::from_millis(1500),
    tries: 3,
};

/// How long [`Receiver::prepare`] may take. Within AWS it takes a twentieth of that.
pub const PREPARATION: Duration = Duration::from_secs(1);

/// The largest body, in bytes: Lambda's limit for an event, which contains the body. On AWS the gateway answers 413 to
/// a larger event, so it never gets here. The local stack has no such limit, so we check it here too.
pub const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The receiver's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// The secret with the signing key, as an ARN or a name.
    pub key_secret_id: String,
    /// The bucket for bodies and watched tasks.
    pub bucket: String,
    /// The queue for render jobs.
    pub render_queue_url: String,
    /// The queue for checks of watched tasks.
    pub watch_queue_url: String,
    /// How far a timestamp may be from our clock, either way.
    pub tolerance: Tolerance,
    /// What a callback proves.
    pub trust: CallbackTrust,
}

/// What a callback proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallbackTrust {
    /// The body of a signed callback is the provider's. It is stored and rendered.
    #[default]
    Body,
    /// Nothing: a callback only makes the reconciler poll the provider now. A signed one may be about any task, an unsigned
    /// one only about a watched task.
    Hint,
}

impl FromStr for CallbackTrust {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "body" => Ok(Self::Body),
            "hint" => Ok(Self::Hint),
            _ => Err("it must be body or hint"),
        }
    }
}

/// How far a timestamp may be from our clock: 1 to 86,400 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance(Duration);

impl FromStr for Tolerance {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
        let seconds = seconds.ok_or("it must be a number of seconds from 1 to 86400")?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl ReceiverSettings {
    /// The settings in the environment.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn from_env(env: &Env) -> Result<Self, BadSetting> {
        Ok(Self {
            key_secret_id: env.required("KEY_SECRET_ID")?,
            bucket: env.required("BUCKET")?,
            render_queue_url: env.required("RENDER_QUEUE_URL")?,
            watch_queue_url: env.required("WATCH_QUEUE_URL")?,
            tolerance: env.parsed("TOLERANCE_SECONDS")?,
            trust: env.parsed_or_default("CALLBACK_TRUST")?,
        })
    }
}

/// The receiver and what it works with.
#[derive(Debug)]
pub struct Receiver {
    keys: KeyRing<SigningKey>,
    intake: Intake,
    hints: Hints,
    tolerance: Duration,
    trust: CallbackTrust,
}

/// Why a request is answered with 200.
enum Acceptance {
    /// Its body is stored, and its job is queued.
    Kept {
        task_id: TaskId,
        /// Whether the same bytes were there already.
        duplicate: bool,
    },
    /// The watch queue has its task.
    Hint { task_id: TaskId, signed: bool },
    /// It is signed, but about another product of the provider.
    OtherProduct(TaskId),
}

/// Why a request is not answered with 200.
#[derive(Debug, Error)]
pub enum CallbackError {
    /// The signature is missing or wrong.
    #[error(transparent)]
    Signature(#[from] Rejection),
    /// There is no task id to verify the signature for.
    #[error("the body has no task id")]
    NoTaskId,
    /// Signed, but it names more than one task.
    #[error("the body names more than one task id")]
    ConflictingTaskIds,
    /// Signed, but its task id cannot be part of an object key.
    #[error(transparent)]
    UnfitTaskId(#[from] UnfitTaskId),
    /// Signed, but cut off or otherwise broken. The provider's next try may be complete.
    #[error(transparent)]
    NotJson(#[from] NotJson),
    /// The body is too large.
    #[error("the body has {0} bytes, more than {MAX_BODY_BYTES}")]
    TooLarge(usize),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// S3 or SQS failed.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// AWS took too long.
    #[error("no answer from AWS within {} s", DEADLINE.as_secs())]
    Deadline,
}

impl CallbackError {
    /// The HTTP status. 503 if our side failed, so that the provider calls again.
    fn status(&self) -> StatusCode {
        match self {
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::NoTaskId | Self::ConflictingTaskIds | Self::UnfitTaskId(_) | Self::NotJson(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Keys(_) | Self::Aws(_) | Self::Deadline => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The reason in one word, for metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Signature(rejection) => rejection.name(),
            Self::NoTaskId | Self::ConflictingTaskIds | Self::UnfitTaskId(_) | Self::NotJson(_) => "Malformed",
            Self::TooLarge(_) => "TooLarge",
            Self::Keys(_) => "SecretsManager",
            Self::Aws(error) => error.service(),
            Self::Deadline => "Deadline",
        }
    }

    /// The text for the sender. Only the sender of a signed body learns what is wrong with it.
    fn public_text(&self) -> String {
        match self {
            Self::Signature(_) => "unauthorized".to_owned(),
            Self::NoTaskId => "malformed".to_owned(),
            Self::ConflictingTaskIds | Self::UnfitTaskId(_) | Self::NotJson(_) => self.to_string(),
            Self::TooLarge(_) => "the body is too large".to_owned(),
            Self::Keys(_) | Self::Aws(_) | Self::Deadline => "try again".to_owned(),
        }
    }

    /// Whether the provider's next call may succeed by itself.
    fn is_transient(&self) -> bool {
        match self {
            Self::Keys(error) => error.is_transient(),
            Self::Aws(error) => error.is_transient(),
            _ => true,
        }
    }
}

impl Receiver {
    /// The receiver with these settings. This does not call AWS yet.
    pub fn new(config: &SdkConfig, settings: ReceiverSettings) -> Self {
        let bucket = Bucket::new(config::s3(config), settings.bucket);
        let sqs = aws_sdk_sqs::Client::new(config);
        Self {
            keys: KeyRing::new(
                aws_sdk_secretsmanager::Client::new(config),
                settings.key_secret_id,
                SigningKey::new,
            ),
            intake: Intake {
                bucket: bucket.clone(),
                render_queue: Queue::new(sqs.clone(), settings.render_queue_url),
            },
            hints: Hints {
                bucket,
                watch_queue: Queue::new(sqs, settings.watch_queue_url),
            },
            tolerance: settings.tolerance.0,
            trust: settings.trust,
        }
    }

    /// Reads the keys and opens the connections that every callback needs, all at the same time, within [`PREPARATION`].
    /// Before the first event, Lambda lends a whole processor for this; then a seventh of one, at 256 MB. A failure is
    /// only logged: the callback that needs what failed asks for itself.
    pub async fn prepare(&self, now: SystemTime) {
        let queue = match self.trust {
            CallbackTrust::Body => &self.intake.render_queue,
            CallbackTrust::Hint => &self.hints.watch_queue,
        };
        let (keys, bucket, queue) = tokio::join!(
            timeout(PREPARATION, self.keys.prepare(now)),
            timeout(PREPARATION, self.intake.bucket.connect()),
            timeout(PREPARATION, queue.connect()),
        );
        unprepared("Secrets Manager", keys);
        unprepared("S3", bucket);
        unprepared("SQS", queue);
    }

    /// Answers a request, within [`DEADLINE`]; `now` is the receiver's clock.
    pub async fn handle(&self, request: Request, now: SystemTime) -> Response<String> {
        let began = Instant::now();
        // Set once the signature is verified, so that the log can name the task even if the callback is refused
        // afterwards.
        let signed = OnceLock::new();
        let accepted = timeout(DEADLINE, self.accept(request, now, &signed));
        let outcome = accepted.await.unwrap_or(Err(CallbackError::Deadline));
        let ack_time = ("AckTime", Unit::Milliseconds, began.elapsed().as_secs_f64() * 1e3);
        let accepted = ("AcceptedCallbacks", Unit::Count, 1.0);
        let (metric, status, task_id) = match outcome {
            Ok(Acceptance::Kept { task_id, duplicate }) => {
                let duplicate = ("DuplicateCallbacks", Unit::Count, f64::from(u8::from(duplicate)));
                telemetry::emit(&[accepted, duplicate, ack_time], &[("taskId", task_id.as_str())]);
                return answer(StatusCode::OK, &json!({"status": "accepted", "taskId": task_id}));
            }
            Ok(Acceptance::Hint { task_id, signed: true }) => (accepted, "watched", task_id),
            Ok(Acceptance::Hint { task_id, signed: false }) => {
                (("UnsignedCallbacks", Unit::Count, 1.0), "watched", task_id)
            }
            Ok(Acceptance::OtherProduct(task_id)) => (accepted, "ignored", task_id),
            Err(refusal) => {
                let is_ours = refusal.status() == StatusCode::SERVICE_UNAVAILABLE;
                let count = if is_ours {
                    "UnavailableAnswers"
                } else {
                    "RejectedCallbacks"
                };
                telemetry::emit(&[(count, Unit::Count, 1.0), ack_time], &[("reason", refusal.name())]);
                log(&refusal, signed.get());
                return answer(refusal.status(), &json!({ "error": refusal.public_text() }));
            }
        };
        telemetry::emit(&[metric, ack_time], &[("taskId", task_id.as_str())]);
        answer(StatusCode::OK, &json!({"status": status, "taskId": task_id}))
    }

    async fn accept(
        &self,
        request: Request,
        now: SystemTime,
        signed: &OnceLock<TaskId>,
    ) -> Result<Acceptance, CallbackError> {
        let (head, body) = request.into_parts();
        let (headers, body) = (&head.headers, &bytes(body));
        if body.len() > MAX_BODY_BYTES {
            return Err(CallbackError::TooLarge(body.len()));
        }
        if let Some(task_id) = self.unsigned_hint(headers, body, now).await? {
            return Ok(Acceptance::Hint { task_id, signed: false });
        }
        let claim = Claim::read(
            sole(headers, TIMESTAMP_HEADER),
            sole(headers, SIGNATURE_HEADER),
            since_epoch(now),
            self.tolerance,
        )?;
        let ids = find_task_ids(body);
        if ids.is_empty() {
            return Err(CallbackError::NoTaskId);
        }
        let id = self.verify(&claim, &ids, now).await?;

        // From here on the signature is verified, so the answer may say what is wrong with the body.
        let task_id = id.parse::<TaskId>();
        if let Ok(task_id) = &task_id {
            signed.get_or_init(|| task_id.clone());
        }
        if ids.len() > 1 {
            return Err(CallbackError::ConflictingTaskIds);
        }
        let task_id = task_id?;
        provider::check_json(body)?;
        match self.trust {
            CallbackTrust::Body => self.keep(task_id, body.clone(), claim.seconds(), now).await,
            CallbackTrust::Hint => self.signed_hint(task_id, body, now).await,
        }
    }

    async fn keep(
        &self,
        task_id: TaskId,
        bytes: Bytes,
        webhook_timestamp: u64,
        now: SystemTime,
    ) -> Result<Acceptance, CallbackError> {
        let body = NewBody {
            task_id,
            bytes,
            source: BodySource::Callback,
            webhook_timestamp,
            received_at: now,
        };
        let accepted = self.intake.accept(&body).await?;
        let (task_id, duplicate) = (body.task_id, accepted.duplicate);
        tracing::info!(taskId = %task_id, key = accepted.body_key, duplicate, bytes = body.bytes.len(), "accepted");
        Ok(Acceptance::Kept { task_id, duplicate })
    }

    async fn signed_hint(&self, task_id: TaskId, body: &[u8], now: SystemTime) -> Result<Acceptance, CallbackError> {
        // The provider signs the callbacks of its other products with the same key.
        let is_other_product = matches!(callback::read(body), Ok(Callback::Unsupported { .. }));
        let is_watched = self.hints.take(&task_id, !is_other_product, now).await?;
        tracing::info!(taskId = %task_id, watched = is_watched, "a signed hint");
        Ok(match is_watched {
            true => Acceptance::Hint { task_id, signed: true },
            false => Acceptance::OtherProduct(task_id),
        })
    }

    /// The watched task that an unsigned callback is about, if callbacks are hints.
    async fn unsigned_hint(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Option<TaskId>, CallbackError> {
        let is_signed = headers.contains_key(TIMESTAMP_HEADER) || headers.contains_key(SIGNATURE_HEADER);
        if self.trust == CallbackTrust::Body || is_signed {
            return Ok(None);
        }
        let [id] = &*find_task_ids(body) else {
            return Ok(None);
        };
        let Ok(task_id) = id.parse::<TaskId>() else {
            return Ok(None);
        };
        let is_watched = self.hints.take(&task_id, false, now).await?;
        Ok(is_watched.then_some(task_id))
    }

    /// The first of the ids that is signed with one of the keys.
    async fn verify<'a>(
        &self,
        claim: &Claim,
        ids: &'a [Cow<'a, str>],
        now: SystemTime,
    ) -> Result<&'a str, CallbackError> {
        let signed = |keys: &[SigningKey]| ids.iter().map(AsRef::as_ref).find(|id| claim.is_signed_by(keys, id));
        let keys = self.keys.keys(now).await?;
        if let Some(id) = signed(&keys) {
            return Ok(id);
        }
        // The key may have been rotated since it was read.
        let reread = self.keys.reread(now).await?;
        if let Some(id) = reread.as_deref().and_then(signed) {
            return Ok(id);
        }
        Err(match reread.unwrap_or(keys).is_empty() {
            true => Rejection::NoKey.into(),
            false => Rejection::WrongSignature.into(),
        })
    }
}

fn unprepared<E: std::error::Error + 'static>(
    service: &str,
    prepared: Result<Result<(), E>, tokio::time::error::Elapsed>,
) {
    let error = match &prepared {
        Ok(Ok(())) => return,
        Ok(Err(error)) => in_one_line(error),
        Err(_) => format!("no answer within {} s", PREPARATION.as_secs()),
    };
    tracing::warn!(service, error, "not prepared; the first callback tries again");
}

/// Removes the fields from which lambda_http builds a URL. It panics on invalid ones, which a stranger can send. The
/// gateway has already routed the request by its URL, and we do not need it.
pub fn without_url(mut event: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV2(request) = &mut event {
        request.raw_query_string = None;
        request.headers.remove(header::HOST);
        request.headers.remove("x-forwarded-proto");
    }
    event
}

/// The body, without a copy.
fn bytes(body: Body) -> Bytes {
    match body {
        Body::Text(text) => text.into(),
        Body::Binary(bytes) => bytes.into(),
        _ => Bytes::new(),
    }
}

/// The text of a header that occurs once; `None` if it occurs twice, because we cannot know which one was signed.
fn sole<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Writes the log line of a refused request. The task is known only if the request was signed.
fn log(refusal: &CallbackError, task_id: Option<&TaskId>) {
    let (task_id, reason, error) = (task_id.map(TaskId::as_str), refusal.name(), in_one_line(refusal));
    match refusal {
        CallbackError::Signature(Rejection::NoKey) => tracing::error!(
            reason,
            "EVERY callback is refused: the secret in KEY_SECRET_ID is missing or empty. \
             Put the provider's webhookHmacKey there (aws secretsmanager put-secret-value)."
        ),
        CallbackError::Keys(_) | CallbackError::Aws(_) | CallbackError::Deadline => {
            let transient = refusal.is_transient();
            let what = "not accepted; the provider is asked to call again";
            tracing::error!(taskId = task_id, reason, error, transient, "{what}");
        }
        _ => tracing::warn!(taskId = task_id, reason, error, "refused"),
    }
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<String> {
    let mut response = Response::new(body.to_string());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_bounded() {
        let read = |name: &str, value: &str| {
            let names = ["KEY_SECRET_ID", "BUCKET", "RENDER_QUEUE_URL", "WATCH_QUEUE_URL"];
            let usual = names
                .map(|name| (name, "name"))
                .into_iter()
                .chain([("TOLERANCE_SECONDS", "300")]);
            ReceiverSettings::from_env(&Env::from_iter(usual.chain([(name, value)])))
        };
        assert_eq!(read("", "").unwrap().trust, CallbackTrust::Body);
        assert_eq!(read("CALLBACK_TRUST", "hint").unwrap().trust, CallbackTrust::Hint);
        for (name, bad) in [
            ("CALLBACK_TRUST", "none"),
            ("TOLERANCE_SECONDS", "0"),
            ("TOLERANCE_SECONDS", "86401"),
            ("TOLERANCE_SECONDS", "5m"),
        ] {
            let error = read(name, bad).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("it must be"), "{error}");
        }
        for missing in [
            "KEY_SECRET_ID",
            "BUCKET",
            "RENDER_QUEUE_URL",
            "WATCH_QUEUE_URL",
            "TOLERANCE_SECONDS",
        ] {
            assert_eq!(read(missing, "").unwrap_err(), BadSetting::Missing(missing));
        }
    }
}
