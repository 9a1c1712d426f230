//! SQS: send, and for `midihook redrive` receive, delete and release.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        QueueAttributeName, SendMessageBatchRequestEntry,
    },
};
use serde::Serialize;
use suno_midi::TaskId;
use thiserror::Error;

use crate::call_error::{CallError, is_transient_code};

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    sqs: Client,
    url: String,
}

/// SQS could not do what we asked.
#[derive(Debug, Error)]
#[error("SQS could not {action}")]
pub struct QueueError {
    action: String,
    #[source]
    source: CallError,
}

impl QueueError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        self.source.is_transient()
    }
}

/// A received message. Its visibility timeout hides it from other receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// SQS's id of the message.
    pub id: String,
    /// Its body.
    pub body: String,
    receipt: String,
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
    pub async fn connect(&self) -> Result<(), CallError> {
        let asked = self.sqs.get_queue_attributes().queue_url(&self.url);
        let asked = asked.attribute_names(QueueAttributeName::QueueArn).send().await;
        asked.map(drop).map_err(Into::into)
    }

    /// Queues a message, as JSON.
    ///
    /// # Errors
    /// If SQS did not confirm that it has the message.
    pub async fn send(&self, task_id: &TaskId, message: &impl Serialize) -> Result<(), QueueError> {
        self.send_with(task_id, message, None).await
    }

    /// Queues a message, as JSON, that nobody receives before `delay` has passed. SQS takes whole seconds, up to
    /// [`LONGEST_DELAY`]. The message begins a trace of its own.
    ///
    /// # Errors
    /// If SQS did not confirm that it has the message.
    pub async fn send_later(
        &self,
        task_id: &TaskId,
        message: &impl Serialize,
        delay: Duration,
    ) -> Result<(), QueueError> {
        // Rounded up: a look that comes a moment too early may not ask, and the next one comes much later.
        let seconds = delay.min(LONGEST_DELAY).as_secs_f64().ceil() as i32;
        self.send_with(task_id, message, Some(seconds)).await
    }

    /// Queues a message, as JSON, that can be received at once, whatever the queue's own delay is.
    ///
    /// # Errors
    /// If SQS did not confirm that it has the message.
    pub async fn send_now(&self, task_id: &TaskId, message: &impl Serialize) -> Result<(), QueueError> {
        self.send_with(task_id, message, Some(0)).await
    }

    async fn send_with(
        &self,
        task_id: &TaskId,
        message: &impl Serialize,
        delay_seconds: Option<i32>,
    ) -> Result<(), QueueError> {
        let failed = failure(format!("queue a message of task {task_id}"));
        let body = serde_json::to_string(message).map_err(|e| failed(CallError::unsent(e)))?;
        let send = self.sqs.send_message().queue_url(&self.url).message_body(body);
        let mut send = send.set_delay_seconds(delay_seconds).customize();
        // A look sends the next one, for up to 14 days. One trace of a thousand looks shows nothing, and Lambda takes such
        // a chain for an infinite loop.
        if delay_seconds.is_some() {
            send = send.mutate_request(|request| drop(request.headers_mut().remove(TRACE)));
        }
        send.send().await.map(drop).map_err(|e| failed(e.into()))
    }

    /// Queues up to [`BATCH`] messages as they are.
    ///
    /// # Errors
    /// If SQS did not confirm that it has all of them; it may have some.
    pub async fn send_batch(&self, bodies: &[String]) -> Result<(), QueueError> {
        let failed = failure(format!("queue {} messages", bodies.len()));
        let mut batch = self.sqs.send_message_batch().queue_url(&self.url);
        for (id, body) in bodies.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .message_body(body);
            batch = batch.entries(entry.build().map_err(|e| failed(CallError::unsent(e)))?);
        }
        let sent = batch.send().await.map_err(|e| failed(e.into()))?;
        all_done(&sent.failed).map_err(failed)
    }

    /// Receives up to [`BATCH`] messages with this visibility timeout; none if the queue is empty for two seconds.
    ///
    /// # Errors
    /// If SQS did not answer, or did not allow it.
    pub async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<Received>, QueueError> {
        let receive = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH as i32);
        let seconds = i32::try_from(visibility_timeout.as_secs()).unwrap_or(i32::MAX);
        // A long poll, because a short one asks only some of SQS's servers.
        let received = receive.visibility_timeout(seconds).wait_time_seconds(2).send().await;
        let received = received.map_err(|e| failure("receive messages")(e.into()))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .map(|message| Received {
                id: message.message_id.unwrap_or_default(),
                body: message.body.unwrap_or_default(),
                receipt: message.receipt_handle.unwrap_or_default(),
            })
            .collect())
    }

    /// Deletes up to [`BATCH`] received messages.
    ///
    /// # Errors
    /// If SQS did not confirm that it deleted all of them.
    pub async fn delete(&self, messages: &[Received]) -> Result<(), QueueError> {
        let failed = failure(format!("delete {} messages", messages.len()));
        let mut batch = self.sqs.delete_message_batch().queue_url(&self.url);
        for (id, message) in messages.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
            let entry = entry.receipt_handle(&message.receipt).build();
            batch = batch.entries(entry.map_err(|e| failed(CallError::unsent(e)))?);
        }
        let deleted = batch.send().await.map_err(|e| failed(e.into()))?;
        all_done(&deleted.failed).map_err(failed)
    }

    /// Ends the visibility timeout of up to [`BATCH`] received messages.
    ///
    /// # Errors
    /// If SQS did not confirm that it ended all of them.
    pub async fn release(&self, messages: &[Received]) -> Result<(), QueueError> {
        let failed = failure(format!("release {} messages", messages.len()));
        let mut batch = self.sqs.change_message_visibility_batch().queue_url(&self.url);
        for (id, message) in messages.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id.to_string());
            let entry = entry.receipt_handle(&message.receipt).visibility_timeout(0).build();
            batch = batch.entries(entry.map_err(|e| failed(CallError::unsent(e)))?);
        }
        let released = batch.send().await.map_err(|e| failed(e.into()))?;
        all_done(&released.failed).map_err(failed)
    }

    /// Hides a received message for so long from now on, up to 12 hours (SQS API reference, `ChangeMessageVisibility`).
    ///
    /// # Errors
    /// If SQS did not confirm it.
    pub async fn hide(&self, receipt: &str, span: Duration) -> Result<(), QueueError> {
        let seconds = i32::try_from(span.as_secs()).unwrap_or(i32::MAX);
        let change = self.sqs.change_message_visibility().queue_url(&self.url);
        let change = change.receipt_handle(receipt).visibility_timeout(seconds);
        change
            .send()
            .await
            .map(drop)
            .map_err(|e| failure("hide a message")(e.into()))
    }

    /// The approximate number of messages, including those within their visibility timeout.
    ///
    /// # Errors
    /// If SQS did not answer, or did not allow it.
    pub async fn length(&self) -> Result<u64, QueueError> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let get = self.sqs.get_queue_attributes().queue_url(&self.url);
        let get = get.set_attribute_names(Some(counts.to_vec()));
        let answer = get.send().await.map_err(|e| failure("count messages")(e.into()))?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name| attributes.get(name)?.parse::<u64>().ok();
        Ok(counts.iter().filter_map(count).sum())
    }
}

fn all_done(failed: &[BatchResultErrorEntry]) -> Result<(), CallError> {
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(CallError::Partly {
            failed: failed.len(),
            code: first.code.clone(),
            permanent: failed
                .iter()
                .all(|entry| entry.sender_fault && !is_transient_code(&entry.code)),
        }),
    }
}

fn failure(action: impl Into<String>) -> impl Fn(CallError) -> QueueError {
    let action = action.into();
    move |source| QueueError {
        action: action.clone(),
        source,
    }
}
