//! A batch of messages from SQS, one after the other. A message that fails goes back to its queue.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use tracing::Instrument as _;

/// Handles each message, and returns those that must be received again. `handle` says whether a message is done.
pub async fn each(event: SqsEvent, handle: impl AsyncFn(&SqsMessage) -> bool) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for message in event.records {
        let id = message.message_id.clone().unwrap_or_default();
        let span = tracing::info_span!("message", messageId = id);
        // Boxed: the compiler limits how deep futures are nested.
        if !Box::pin(handle(&message).instrument(span)).await {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}
