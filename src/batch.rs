//! A batch of messages from SQS, one after the other. A message that fails goes back to its queue.

use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use tracing::Instrument as _;

use crate::time::since_epoch;

/// A message is not done: it goes back to its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDone;

/// Handles each message, and returns those that must be received again.
pub async fn each(event: SqsEvent, handle: impl AsyncFn(&SqsMessage) -> Result<(), NotDone>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for message in event.records {
        let id = message.message_id.clone().unwrap_or_default();
        let span = tracing::info_span!("message", messageId = id);
        // Boxed: the compiler limits how deep futures are nested.
        if let Err(NotDone) = Box::pin(handle(&message).instrument(span)).await {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}

/// How long a message has waited in the queue, if the event says when it was sent.
pub fn age(message: &SqsMessage, now: SystemTime) -> Option<Duration> {
    let sent = message.attributes.get("SentTimestamp")?.parse().ok()?;
    Some(since_epoch(now).saturating_sub(Duration::from_millis(sent)))
}
