//! The first Lambda: request → answer.
//!
//! It verifies the signature, hands the body to the [`Intake`] and only then answers 200. If the provider gets any
//! other answer, or none, it calls again.

use std::{
    borrow::Cow,
    error::Error,
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
use tokio::time::{Instant, error::Elapsed, timeout};

use suno_midi::{
    TaskId, UnfitTaskId,
    provider::{
        self, NotJson,
        signature::{Claim, Rejection, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER},
        task_ids::find_task_ids,
    },
};

use crate::{
    archive::{Archive, Arrival, Origin},
    call_error::in_one_line,
    clients::{self, Patience},
    clock::since_epoch,
    intake::{Intake, IntakeError},
    key_ring::{KeyRing, KeysUnavailable},
    queue::Queue,
    settings::ReceiverSettings,
    telemetry::{self, Unit},
    tips::Tips,
};

/// How long an answer may take. The provider gives up after 15 s, which must also cover a cold start.
pub const DEADLINE: Duration = Duration::from_secs(9);

/// How long the receiver waits for a call. Its three calls in a row, with its tries, end within [`DEADLINE`] unless
/// most of them are slow.
pub const PATIENCE: Patience = Patience {
    operation: Duration::from_secs(4),
    attempt: Duration::from_millis(1500),
    tries: 3,
};

/// How long [`Receiver::prepare`] may take. Within AWS it takes a twentieth of that.
pub const PREPARATION: Duration = Duration::from_secs(1);

/// The largest body, in bytes: Lambda's limit for an event, which contains the body. On AWS the gateway answers 413 to
/// a larger event, so it never gets here. The local stack has no such limit, so we check it here too.
pub const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The receiver and what it works with.
#[derive(Debug)]
pub struct Receiver {
    keys: KeyRing<SigningKey>,
    intake: Intake,
    /// Takes unsigned callbacks; `None` if they are refused.
    tips: Option<Tips>,
    /// How far a timestamp may be from our clock, either way.
    tolerance: Duration,
}

/// Why a request is answered with 200.
enum Accepted {
    /// Its body is stored, and its job is queued.
    Kept {
        task_id: TaskId,
        /// Whether the same bytes were there already.
        duplicate: bool,
    },
    /// It is not signed, and the task is watched: the provider is asked.
    Tip(TaskId),
}

/// Why a request is not answered with 200.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The signature is missing or wrong: 401.
    #[error(transparent)]
    Unauthorized(#[from] Rejection),
    /// There is no task id to verify, or the signed body cannot be kept: 400.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The body is too large: 413.
    #[error("the body has {0} bytes, more than {MAX_BODY_BYTES}")]
    TooLarge(usize),
    /// Our side failed or was too slow: 503, so that the provider calls again.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What is wrong with a body.
#[derive(Debug, Error)]
pub enum Malformed {
    /// There is no id to verify the signature for. The answer does not say so, because the sender is unknown.
    #[error("the body has no task id")]
    NoTaskId,
    /// Signed, but it names more than one task.
    #[error("the body names more than one task id")]
    ConflictingTaskIds,
    /// Signed, but its task id cannot be part of an object name.
    #[error(transparent)]
    UnfitTaskId(#[from] UnfitTaskId),
    /// Signed, but cut off or otherwise broken. The provider's next try may be complete.
    #[error(transparent)]
    NotJson(#[from] NotJson),
}

/// What failed on our side.
#[derive(Debug, Error)]
pub enum Unavailable {
    /// Secrets Manager.
    #[error(transparent)]
    Keys(#[from] KeysUnavailable),
    /// S3 or SQS.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// All of them together took too long.
    #[error("no answer from AWS within {} s", DEADLINE.as_secs())]
    Deadline,
}

impl Unavailable {
    /// Whether the provider's next call may succeed although nobody changes anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Keys(error) => error.is_transient(),
            Self::Intake(error) => error.is_transient(),
            Self::Deadline => true,
        }
    }
}

impl Refusal {
    /// The reason in one word, for metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Unauthorized(rejection) => rejection.name(),
            Self::Malformed(_) => "Malformed",
            Self::TooLarge(_) => "TooLarge",
            Self::Unavailable(Unavailable::Keys(_)) => "SecretsManager",
            Self::Unavailable(Unavailable::Intake(IntakeError::Archive(_))) => "S3",
            Self::Unavailable(Unavailable::Intake(IntakeError::Queue(_))) => "SQS",
            Self::Unavailable(Unavailable::Deadline) => "Deadline",
        }
    }
}

impl Receiver {
    /// The receiver with these settings. This does not call AWS yet.
    pub fn new(config: &SdkConfig, settings: ReceiverSettings) -> Self {
        let archive = Archive::new(clients::s3(config), settings.bucket);
        let sqs = aws_sdk_sqs::Client::new(config);
        Self {
            tips: settings.watch_queue_url.map(|url| Tips {
                archive: archive.clone(),
                watch_queue: Queue::new(sqs.clone(), url),
            }),
            keys: KeyRing::new(
                aws_sdk_secretsmanager::Client::new(config),
                settings.key_secret_id,
                SigningKey::new,
            ),
            intake: Intake {
                archive,
                render_queue: Queue::new(sqs, settings.render_queue_url),
            },
            tolerance: settings.tolerance,
        }
    }

    /// Reads the keys and opens the connections that every callback needs, all at the same time, within [`PREPARATION`].
    /// Before the first event, Lambda lends a whole processor for this; then a seventh of one, at 256 MB. A failure is
    /// only logged: the callback that needs what failed asks for itself.
    pub async fn prepare(&self, now: SystemTime) {
        let (keys, archive, queue) = tokio::join!(
            timeout(PREPARATION, self.keys.prepare(now)),
            timeout(PREPARATION, self.intake.archive.connect()),
            timeout(PREPARATION, self.intake.render_queue.connect()),
        );
        unprepared("Secrets Manager", keys);
        unprepared("S3", archive);
        unprepared("SQS", queue);
    }

    /// Answers a request, within [`DEADLINE`]; `now` is the receiver's clock.
    pub async fn handle(&self, request: Request, now: SystemTime) -> Response<String> {
        let began = Instant::now();
        // Set once the signature is verified, so that the log can name the task even if the callback is refused
        // afterwards.
        let signed = OnceLock::new();
        let accepted = timeout(DEADLINE, self.accept(request, now, &signed));
        let outcome = accepted.await.unwrap_or_else(|_| Err(Unavailable::Deadline.into()));
        let ack_time = ("AckTime", Unit::Milliseconds, began.elapsed().as_secs_f64() * 1e3);
        match outcome {
            Ok(Accepted::Kept { task_id, duplicate }) => {
                let accepted = ("AcceptedCallbacks", Unit::Count, 1.0);
                let duplicate = ("DuplicateCallbacks", Unit::Count, f64::from(u8::from(duplicate)));
                telemetry::emit(&[accepted, duplicate, ack_time], &[("taskId", task_id.as_str())]);
                answer(StatusCode::OK, &json!({"status": "accepted", "taskId": task_id}))
            }
            Ok(Accepted::Tip(task_id)) => {
                telemetry::emit(&[("UnsignedCallbacks", Unit::Count, 1.0), ack_time], &[]);
                answer(StatusCode::OK, &json!({"status": "watched", "taskId": task_id}))
            }
            Err(refusal) => {
                let count = match refusal {
                    Refusal::Unavailable(_) => "UnavailableAnswers",
                    _ => "RejectedCallbacks",
                };
                telemetry::emit(&[(count, Unit::Count, 1.0), ack_time], &[("reason", refusal.name())]);
                refuse(&refusal, signed.get())
            }
        }
    }

    async fn accept(&self, request: Request, now: SystemTime, signed: &OnceLock<TaskId>) -> Result<Accepted, Refusal> {
        let (head, body) = request.into_parts();
        let (headers, body) = (&head.headers, &bytes(body));
        if body.len() > MAX_BODY_BYTES {
            return Err(Refusal::TooLarge(body.len()));
        }
        if let Some(task_id) = self.tip(headers, body, now).await? {
            return Ok(Accepted::Tip(task_id));
        }
        let claim = Claim::read(
            sole(headers, TIMESTAMP_HEADER),
            sole(headers, SIGNATURE_HEADER),
            since_epoch(now),
            self.tolerance,
        )?;
        let ids = find_task_ids(body);
        if ids.is_empty() {
            return Err(Malformed::NoTaskId.into());
        }
        let id = self.verify(&claim, &ids, now).await?;

        // From here on the signature is verified, so the answer may say what is wrong with the body.
        let task_id = id.parse::<TaskId>().map_err(Malformed::from);
        if let Ok(task_id) = &task_id {
            signed.get_or_init(|| task_id.clone());
        }
        if ids.len() > 1 {
            return Err(Malformed::ConflictingTaskIds.into());
        }
        let task_id = task_id?;
        provider::check_json(body).map_err(Malformed::from)?;

        let arrival = Arrival {
            task_id,
            body: body.clone(),
            origin: Origin::Callback,
            webhook_timestamp: claim.seconds(),
            received_at: now,
        };
        let taken = self.intake.take(&arrival).await.map_err(Unavailable::from)?;
        let (task_id, duplicate) = (arrival.task_id, taken.duplicate);
        tracing::info!(taskId = %task_id, key = taken.object, duplicate, bytes = body.len(), "accepted");
        Ok(Accepted::Kept { task_id, duplicate })
    }

    /// The watched task that an unsigned callback is about, if the stack takes such callbacks.
    async fn tip(&self, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<Option<TaskId>, Unavailable> {
        let is_signed = headers.contains_key(TIMESTAMP_HEADER) || headers.contains_key(SIGNATURE_HEADER);
        let Some(tips) = self.tips.as_ref().filter(|_| !is_signed) else {
            return Ok(None);
        };
        let [id] = &*find_task_ids(body) else {
            return Ok(None);
        };
        let Ok(task_id) = id.parse::<TaskId>() else {
            return Ok(None);
        };
        let watched = tips.take(&task_id, now).await?;
        Ok(watched.then_some(task_id))
    }

    /// The first of the ids that is signed with one of the keys.
    async fn verify<'a>(&self, claim: &Claim, ids: &'a [Cow<'a, str>], now: SystemTime) -> Result<&'a str, Refusal> {
        let signed = |keys: &[SigningKey]| ids.iter().map(AsRef::as_ref).find(|id| claim.is_signed_by(keys, id));
        let keys = self.keys.keys(now).await.map_err(Unavailable::from)?;
        if let Some(id) = signed(&keys) {
            return Ok(id);
        }
        // The key may have been rotated since it was read.
        let reread = self.keys.reread(now).await.map_err(Unavailable::from)?;
        if let Some(id) = reread.as_deref().and_then(signed) {
            return Ok(id);
        }
        Err(match reread.unwrap_or(keys).is_empty() {
            true => Rejection::NoKey.into(),
            false => Rejection::WrongSignature.into(),
        })
    }
}

fn unprepared<E: Error + 'static>(service: &str, prepared: Result<Result<(), E>, Elapsed>) {
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

/// Answers a refused request, and writes the log line for the operator. The task is known only if the request was
/// signed.
fn refuse(refusal: &Refusal, task_id: Option<&TaskId>) -> Response<String> {
    let (task_id, reason) = (task_id.map(TaskId::as_str), refusal.name());
    match refusal {
        Refusal::Unavailable(error) => {
            let (error, transient) = (in_one_line(error), error.is_transient());
            tracing::error!(
                taskId = task_id,
                reason,
                error,
                transient,
                "not accepted; the provider is asked to call again"
            );
        }
        Refusal::Unauthorized(Rejection::NoKey) => tracing::error!(
            reason,
            "EVERY callback is refused: the secret in KEY_SECRET_ID is missing or empty. \
             Put the provider's webhookHmacKey there (aws secretsmanager put-secret-value)."
        ),
        _ => tracing::warn!(taskId = task_id, reason, error = %refusal, "refused"),
    }
    let (status, words) = match refusal {
        Refusal::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized".to_owned()),
        Refusal::Malformed(Malformed::NoTaskId) => (StatusCode::BAD_REQUEST, "malformed".to_owned()),
        Refusal::Malformed(signed) => (StatusCode::BAD_REQUEST, signed.to_string()),
        Refusal::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large".to_owned()),
        Refusal::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "try again".to_owned()),
    };
    answer(status, &json!({ "error": words }))
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
