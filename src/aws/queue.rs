//! SQS: queues messages, and hides a received one.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};
use serde::Serialize;
use suno_midi::TaskId;

use super::{Error, Reason, error::is_transient_code};

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    sqs: Client,
    url: String,
}

/// The most messages in one call (SQS API reference).
pub const BATCH: usize = 10;
/// The longest delay of a message (SQS API reference, `SendMessage`).
pub const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// The header that makes a call part of a trace. In Lambda the SDK sets it to the invocation's own, and SQS passes it on
/// with the message (X-Ray developer guide, "Amazon SQS and AWS X-Ray").
const TRACE: &str = "x-amzn-trace-id";

impl Queue {
    /// The queue, over this client. The caller chooses the client's time-outs.
    pub fn new(sqs: Client, url: String) -> Self {
        Self { sqs, url }
    }

    /// Opens a connection to SQS, by a call that changes nothing.
    ///
    /// # Errors
    /// If SQS did not answer, or denied access.
    pub async fn connect(&self) -> Result<(), Reason> {
        let asked = self.sqs.get_queue_attributes().queue_url(&self.url);
        let asked = asked.attribute_names(QueueAttributeName::QueueArn).send().await;
        asked.map(drop).map_err(Into::into)
    }

    /// Queues a message, as JSON.
    ///
    /// # Errors
    /// If SQS did not confirm that it has the message.
    pub async fn send(&self, task_id: &TaskId, message: &impl Serialize) -> Result<(), Error> {
        self.send_with(task_id, message, None).await
    }

    /// Queues a message, as JSON, that can be received after `delay`. SQS takes whole seconds, up to
    /// [`LONGEST_DELAY`]. The message begins a trace of its own.
    ///
    /// # Errors
    /// If SQS did not confirm that it has the message.
    pub async fn send_later(&self, task_id: &TaskId, message: &impl Serialize, delay: Duration) -> Result<(), Error> {
        // Rounded up: an early check is not allowed to poll and would wait a full interval.
        let seconds = delay.min(LONGEST_DELAY).as_secs_f64().ceil() as i32;
        self.send_with(task_id, message, Some(seconds)).await
    }

    /// Queues a message, as JSON, that can be received at once, whatever the queue's own delay is.
    ///
    /// # Errors
    /// If SQS did not confirm that it has the message.
    pub async fn send_now(&self, task_id: &TaskId, message: &impl Serialize) -> Result<(), Error> {
        self.send_with(task_id, message, Some(0)).await
    }

    async fn send_with(
        &self,
        task_id: &TaskId,
        message: &impl Serialize,
        delay_seconds: Option<i32>,
    ) -> Result<(), Error> {
        let failed = |reason| Error::new("SQS", format!("queue a message of task {task_id}"), reason);
        let body = serde_json::to_string(message).map_err(|error| failed(Reason::Build(error.into())))?;
        let send = self.sqs.send_message().queue_url(&self.url).message_body(body);
        let mut send = send.set_delay_seconds(delay_seconds).customize();
        // Each check sends the next one, for up to 14 days. A trace of a thousand checks shows nothing, and Lambda takes such
        // a chain for an infinite loop.
        if delay_seconds.is_some() {
            send = send.mutate_request(|request| drop(request.headers_mut().remove(TRACE)));
        }
        send.send().await.map(drop).map_err(|error| failed(error.into()))
    }

    /// Queues up to [`BATCH`] messages as they are.
    ///
    /// # Errors
    /// If SQS did not confirm that it has all of them; it may have some.
    pub async fn send_batch(&self, bodies: &[String]) -> Result<(), Error> {
        let failed = |reason| Error::new("SQS", format!("queue {} messages", bodies.len()), reason);
        let mut batch = self.sqs.send_message_batch().queue_url(&self.url);
        for (id, body) in bodies.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder().id(id.to_string());
            let entry = entry.message_body(body).build();
            batch = batch.entries(entry.map_err(|error| failed(Reason::Build(error.into())))?);
        }
        let sent = batch.send().await.map_err(|error| failed(error.into()))?;
        match sent.failed.first() {
            None => Ok(()),
            Some(first) => Err(failed(Reason::Batch {
                failed: sent.failed.len(),
                code: first.code.clone(),
                permanent: (sent.failed.iter()).all(|entry| entry.sender_fault && !is_transient_code(&entry.code)),
            })),
        }
    }

    /// Hides a received message from now on, up to 12 hours (SQS API reference, `ChangeMessageVisibility`).
    ///
    /// # Errors
    /// If SQS did not confirm it.
    pub async fn hide(&self, receipt: &str, span: Duration) -> Result<(), Error> {
        let seconds = i32::try_from(span.as_secs()).unwrap_or(i32::MAX);
        let change = self.sqs.change_message_visibility().queue_url(&self.url);
        let change = change.receipt_handle(receipt).visibility_timeout(seconds);
        let changed = change.send().await;
        changed
            .map(drop)
            .map_err(|error| Error::new("SQS", "hide a message", error))
    }
}
