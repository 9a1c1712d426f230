//! The fourth Lambda: pushes each result to a URL, as [Standard Webhooks](https://www.standardwebhooks.com) says. A push
//! that fails goes back to its queue, each time for longer.

pub mod push;
pub mod webhooks;

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use serde_json::Value;
use suno_midi::Digest;
use thiserror::Error;

use self::{
    push::{Push, PushUrl, Unpushed},
    webhooks::{PushSecret, signatures},
};
use crate::{
    aws::{
        self,
        config::{self, Timeouts},
        error::in_one_line,
        queue::Queue,
        secrets::{KeyRing, KeysError},
    },
    batch::{self, NotDone},
    bucket::{Bucket, Loaded, MAX_OBJECT_BYTES, keys::task_of_result},
    env::{BadSetting, Env},
    telemetry::{self, Unit},
    time::since_epoch,
};

/// How long the pusher waits for a call to AWS.
pub const TIMEOUTS: Timeouts = Timeouts {
    operation: Duration::from_secs(10),
    attempt: Duration::from_secs(4),
    tries: 3,
};

/// The wait after the first failure. Each further one is [`GROWTH`] times as long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const GROWTH: u32 = 3;
/// The longest wait before its jitter, also if the receiver asks for a longer one. With the number of tries in template.yaml,
/// the last one is more than a day after the first.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 3600);
/// The most that jitter adds to a wait is the wait divided by this (Standard Webhooks asks for jitter).
const JITTER: u32 = 5;

/// The pusher's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PusherSettings {
    /// The bucket of results.
    pub bucket: String,
    /// The queue whose messages are about new results.
    pub push_queue_url: String,
    /// Where results are pushed to.
    pub push_url: PushUrl,
    /// The secret that signs pushes, as an ARN or a name.
    pub push_secret_id: String,
}

impl PusherSettings {
    /// The settings in the environment.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn from_env(env: &Env) -> Result<Self, BadSetting> {
        Ok(Self {
            bucket: env.required("BUCKET")?,
            push_queue_url: env.required("PUSH_QUEUE_URL")?,
            push_url: env.url("PUSH_URL")?,
            push_secret_id: env.required("PUSH_SECRET_ID")?,
        })
    }
}

/// The pusher and what it works with.
#[derive(Debug)]
pub struct Pusher {
    bucket: Bucket,
    queue: Queue,
    secrets: KeyRing<PushSecret>,
    http: SharedHttpConnector,
    url: PushUrl,
}

/// Why a push goes back to the queue.
#[derive(Debug, Error)]
enum PushError {
    #[error("the message is not about a result")]
    NotAResult,
    #[error(transparent)]
    Aws(#[from] aws::Error),
    #[error("the result document has {0} bytes, more than the {MAX_OBJECT_BYTES} that are read")]
    TooLarge(u64),
    #[error(transparent)]
    Secrets(#[from] KeysError),
    #[error("the secret that signs pushes does not hold whsec_ and the base64 of 24 to 64 bytes")]
    NoSecret,
    #[error("the receiver did not take the result")]
    Push(#[from] Unpushed),
}

impl PushError {
    /// How long the receiver asks to wait.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Push(Unpushed::Refused { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}

impl Pusher {
    /// The pusher with these settings, over these connections to the receiver. This does not call AWS yet.
    pub fn new(config: &SdkConfig, http: SharedHttpConnector, settings: PusherSettings) -> Self {
        let secrets = aws_sdk_secretsmanager::Client::new(config);
        Self {
            bucket: Bucket::new(config::s3(config), settings.bucket),
            queue: Queue::new(aws_sdk_sqs::Client::new(config), settings.push_queue_url),
            secrets: KeyRing::new(secrets, settings.push_secret_id, PushSecret::new),
            http,
            url: settings.push_url,
        }
    }

    /// Pushes the result of each message of a batch, and returns the messages that must be received again. `now` is the
    /// pusher's clock.
    pub async fn handle(&self, event: SqsEvent, now: SystemTime) -> SqsBatchResponse {
        batch::each(event, async |message| {
            let Err(error) = self.message(message, now).await else {
                return Ok(());
            };
            count_failure(message, now);
            let wait = wait(message, error.retry_after().unwrap_or_default());
            let (receiver, reason) = (&self.url, in_one_line(&error));
            tracing::error!(%receiver, error = reason, waitSeconds = wait.as_secs(), "not pushed; the message goes back to the queue");
            let receipt = message.receipt_handle.as_deref().unwrap_or_default();
            // Otherwise the message comes back after the queue's own visibility timeout.
            if let Err(error) = self.queue.hide(receipt, wait).await {
                tracing::warn!(error = in_one_line(&error), "the wait is that of the queue");
            }
            Err(NotDone)
        })
        .await
    }

    /// Pushes the result document that is in the bucket now: a try that comes late must not bring an outdated result.
    async fn message(&self, message: &SqsMessage, now: SystemTime) -> Result<(), PushError> {
        let event: Value =
            serde_json::from_str(message.body.as_deref().unwrap_or_default()).map_err(|_| PushError::NotAResult)?;
        let object = event["detail"]["object"]["key"].as_str().ok_or(PushError::NotAResult)?;
        let task_id = task_of_result(object).ok_or(PushError::NotAResult)?;
        let body = match self.bucket.load(object).await? {
            Loaded::Found(document) => document.bytes,
            Loaded::TooLarge(bytes) => return Err(PushError::TooLarge(bytes)),
            Loaded::Missing => {
                tracing::warn!(taskId = %task_id, "not pushed: the result was deleted");
                return Ok(());
            }
        };
        let secrets = self.secrets.keys(now).await?;
        if secrets.is_empty() {
            return Err(PushError::NoSecret);
        }
        // Of the document, not of the message: EventBridge may send two messages about one document.
        let id = format!("result_{}", Digest::of(&body));
        let timestamp = since_epoch(now).as_secs();
        let push = Push {
            signatures: signatures(&secrets, &id, timestamp, &body),
            id,
            timestamp,
            body,
        };
        push.send(&self.http, &self.url).await?;
        telemetry::emit(&[("Pushes", Unit::Count, 1.0)], &[("taskId", task_id.as_str())]);
        tracing::info!(taskId = %task_id, receiver = %self.url, "pushed");
        Ok(())
    }
}

/// Counts a push that failed, whatever the reason. Its age tells a receiver that restarts from one that stays away.
fn count_failure(message: &SqsMessage, now: SystemTime) {
    let mut metrics = vec![("FailedPushes", Unit::Count, 1.0)];
    metrics.extend(batch::age(message, now).map(|age| ("FailedPushAge", Unit::Seconds, age.as_secs_f64())));
    telemetry::emit(&metrics, &[]);
}

/// How long to wait after this receive of a message has failed, at least as long as the receiver asks.
fn wait(message: &SqsMessage, asked: Duration) -> Duration {
    let receives = message.attributes.get("ApproximateReceiveCount");
    let earlier = receives
        .and_then(|count| count.parse::<u32>().ok())
        .unwrap_or(1)
        .saturating_sub(1);
    let growth = GROWTH.saturating_pow(earlier);
    let wait = FIRST_WAIT.saturating_mul(growth).max(asked).min(LONGEST_WAIT);
    // Deterministic jitter from the message id.
    let id = message.message_id.as_deref().unwrap_or_default();
    let [share, ..] = *Digest::of(id.as_bytes()).as_bytes();
    wait + wait * u32::from(share) / (u32::from(u8::MAX) * JITTER)
}
