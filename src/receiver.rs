//! The first Lambda: request → answer.
//!
//! Order is everything: verify, put, send, and only then 200. A crash between put and send leaves a
//! body without a job; the provider did not get its 200, calls again, finds the body there, and its
//! job is sent.

use std::{
    borrow::Cow,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use lambda_http::{
    Request, Response,
    http::{HeaderMap, StatusCode, header},
    request::LambdaRequest,
};
use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::{
    archive::{self, Archive, ArchiveError, Stored, since_epoch},
    jobs::{Job, Queue, QueueError},
    key_ring::{KeyRing, KeysUnavailable},
    telemetry::{self, Unit},
};
use suno_midi::{
    TaskId, UnfitTaskId,
    provider::{
        self, NotJson,
        signature::{Claim, Key, Rejection, SIGNATURE_HEADER, TIMESTAMP_HEADER},
        task_ids::find_task_ids,
    },
};

/// The longest answer, in seconds: the provider gives up after 15, and a cold start comes on top.
pub const DEADLINE: Duration = Duration::from_secs(9);

/// The largest body, in bytes: Lambda's limit for an event, in which the body is one part. On AWS the
/// gateway answers 413 to what is over it, and nothing larger comes here; elsewhere this is the limit.
pub const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The receiver, with all it needs.
#[derive(Debug)]
pub struct Receiver {
    /// The keys that may sign.
    pub keys: KeyRing,
    /// Where bodies go.
    pub archive: Archive,
    /// Where jobs go.
    pub jobs: Queue,
    /// How far a timestamp may be from our clock, either way.
    pub tolerance: Duration,
}

struct Accepted {
    task_id: TaskId,
    /// These very bytes were there already.
    duplicate: bool,
}

/// Why a request has no 200.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Not believed: 401.
    #[error("{0}")]
    Unauthorized(#[from] Rejection),
    /// No task id to verify with, or a signed body that cannot be kept: 400.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// 413.
    #[error("the body has {0} bytes, more than {MAX_BODY_BYTES}")]
    TooLarge(usize),
    /// Our side failed or was too slow: 503, so that the provider calls again.
    #[error("{0}")]
    Unavailable(#[from] Unavailable),
}

/// What is wrong with a request's body.
#[derive(Debug, Error)]
pub enum Malformed {
    /// Nothing that a signature could be of. The answer does not say more: the sender is unknown.
    #[error("the body has no task id")]
    NoTaskId,
    /// Signed, but it names more than one task.
    #[error("the body names more than one task id")]
    ConflictingTaskIds,
    /// Signed, but its task id cannot be a key.
    #[error("{0}")]
    UnfitTaskId(#[from] UnfitTaskId),
    /// Signed, but cut off or otherwise broken: the provider's next try may be whole.
    #[error("{0}")]
    NotJson(#[from] NotJson),
}

/// What did not answer.
#[derive(Debug, Error)]
pub enum Unavailable {
    /// Secrets Manager.
    #[error(transparent)]
    Keys(#[from] KeysUnavailable),
    /// S3.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// SQS.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// All of them together.
    #[error("no answer from AWS within {} s", DEADLINE.as_secs())]
    Deadline,
}

impl Refusal {
    /// One word for a metric's reason.
    fn name(&self) -> &'static str {
        match self {
            Self::Unauthorized(rejection) => rejection.name(),
            Self::Malformed(_) => "Malformed",
            Self::TooLarge(_) => "TooLarge",
            Self::Unavailable(Unavailable::Keys(_)) => "SecretsManager",
            Self::Unavailable(Unavailable::Archive(_)) => "S3",
            Self::Unavailable(Unavailable::Queue(_)) => "SQS",
            Self::Unavailable(Unavailable::Deadline) => "Deadline",
        }
    }
}

impl Receiver {
    /// Answers a request, within [`DEADLINE`]; `now` is the receiver's clock.
    pub async fn handle(&self, request: &Request, now: SystemTime) -> Response<String> {
        let began = Instant::now();
        // Known once the signature is, and said also of a callback that is then not accepted.
        let signed = OnceLock::new();
        let accepted = timeout(DEADLINE, self.accept(request, now, &signed));
        let outcome = accepted.await.unwrap_or_else(|_| Err(Unavailable::Deadline.into()));
        let ack_time = ("AckTime", Unit::Milliseconds, began.elapsed().as_secs_f64() * 1e3);
        match outcome {
            Ok(Accepted { task_id, duplicate }) => {
                let accepted = ("AcceptedCallbacks", Unit::Count, 1.0);
                let duplicate = ("DuplicateCallbacks", Unit::Count, f64::from(u8::from(duplicate)));
                telemetry::emit(&[accepted, duplicate, ack_time], &[("taskId", task_id.as_str())]);
                answer(StatusCode::OK, &json!({"status": "accepted", "taskId": task_id}))
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

    async fn accept(&self, request: &Request, now: SystemTime, signed: &OnceLock<TaskId>) -> Result<Accepted, Refusal> {
        let (headers, body): (_, &[u8]) = (request.headers(), request.body().as_ref());
        if body.len() > MAX_BODY_BYTES {
            return Err(Refusal::TooLarge(body.len()));
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

        // From here on the sender holds the key, and may know what is wrong.
        let task_id = id.parse::<TaskId>().map_err(Malformed::from);
        if let Ok(task_id) = &task_id {
            signed.get_or_init(|| task_id.clone());
        }
        if ids.len() > 1 {
            return Err(Malformed::ConflictingTaskIds.into());
        }
        let task_id = task_id?;
        provider::check_json(body).map_err(Malformed::from)?;

        let key = archive::raw_key(&task_id, body);
        let stored = self
            .archive
            .store(&key, body.to_vec(), claim.seconds(), now)
            .await
            .map_err(Unavailable::from)?;
        // Also for a body that was there: the answer to the first may have been lost before its job was sent.
        let job = Job::new(task_id.clone(), self.archive.bucket(), key.clone());
        self.jobs.send(&task_id, &job).await.map_err(Unavailable::from)?;
        let duplicate = stored == Stored::AlreadyThere;
        tracing::info!(taskId = %task_id, key, duplicate, bytes = body.len(), "accepted");
        Ok(Accepted { task_id, duplicate })
    }

    /// The first of the ids that one of the keys signed.
    async fn verify<'a>(&self, claim: &Claim, ids: &'a [Cow<'a, str>], now: SystemTime) -> Result<&'a str, Refusal> {
        let signed = |keys: &[Key]| ids.iter().map(AsRef::as_ref).find(|id| claim.is_signed_by(keys, id));
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

/// An event without what lambda_http would make a URL of: it panics where a stranger's query, host or
/// protocol makes none. Nothing here reads the URL; the gateway did.
pub fn without_url(mut event: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV2(request) = &mut event {
        request.raw_query_string = None;
        request.headers.remove(header::HOST);
        request.headers.remove("x-forwarded-proto");
    }
    event
}

/// A header's text, if it is there once: of two, nobody knows which was signed.
fn sole<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The answer to a refused request, and the line that the operator reads. Its task is known only if it
/// was signed.
fn refuse(refusal: &Refusal, task_id: Option<&TaskId>) -> Response<String> {
    let (task_id, reason) = (task_id.map(TaskId::as_str), refusal.name());
    match refusal {
        Refusal::Unavailable(error) => {
            tracing::error!(taskId = task_id, reason, %error, "not accepted; the provider is asked to call again");
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
