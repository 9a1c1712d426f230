//! SQS: the render job, and every message that means the same.
//!
//! A message names a body in the archive; it never carries one (the claim check pattern).

use std::{borrow::Cow, time::Duration};

use aws_sdk_sqs::{
    Client,
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        QueueAttributeName, SendMessageBatchRequestEntry,
    },
};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use suno_midi::TaskId;

use crate::{archive, clients};

/// The version of the job's form.
const VERSION: u32 = 1;

/// "Render this body."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The version of this message's form: 1.
    pub version: u32,
    /// The task.
    pub task_id: TaskId,
    /// The bucket of the body.
    pub bucket: String,
    /// The key of the body, `raw/<taskId>/….json`.
    pub key: String,
}

impl Job {
    /// The job for a body.
    pub fn new(task_id: TaskId, bucket: &str, key: String) -> Self {
        Self {
            version: VERSION,
            task_id,
            bucket: bucket.to_owned(),
            key,
        }
    }
}

/// A message that can never be a job, however often it is received.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAJob {
    /// It is not JSON.
    #[error("the message is not JSON")]
    NotJson,
    /// It is none of the messages that are understood.
    #[error("the message is neither a render job nor an S3 event")]
    Unknown,
    /// It looks like a job, but a member is missing or wrong.
    #[error("the message is not a valid render job: {0}")]
    BadJob(String),
    /// A job from a newer midihook.
    #[error("the job has version {0}, but only version {VERSION} is understood here: upgrade the renderer")]
    Version(u64),
}

/// The jobs that a message asks for. None for S3's test event, for events that are not the creation
/// of an object, and for objects that are not archived bodies.
///
/// Understands [`Job`], an S3 event notification (straight or through an SNS topic) and an
/// EventBridge "Object Created" event.
///
/// # Errors
/// [`NotAJob`] for anything else.
pub fn read(message: &str) -> Result<Vec<Job>, NotAJob> {
    let value: Value = serde_json::from_str(message).map_err(|_| NotAJob::NotJson)?;
    if let Some(records) = value["Records"].as_array() {
        // Another service's records are a mistake in somebody's wiring, and must not vanish.
        let of_s3 = |record: &Value| record["eventSource"] == "aws:s3";
        return match records.iter().all(of_s3) {
            true => Ok(records.iter().filter_map(from_s3_record).collect()),
            false => Err(NotAJob::Unknown),
        };
    }
    if value["Event"] == "s3:TestEvent" {
        return Ok(Vec::new());
    }
    if value["source"] == "aws.s3" && value["detail-type"].is_string() {
        let created = value["detail-type"] == "Object Created";
        let (bucket, key) = (
            &value["detail"]["bucket"]["name"],
            value["detail"]["object"]["key"].as_str(),
        );
        return Ok(key
            .filter(|_| created)
            .and_then(|key| from_object(bucket, key.into()))
            .into_iter()
            .collect());
    }
    if let (true, Some(inner)) = (value["Type"] == "Notification", value["Message"].as_str()) {
        return read(inner);
    }
    let Some(version) = value["version"].as_u64() else {
        return Err(NotAJob::Unknown);
    };
    if version > u64::from(VERSION) {
        return Err(NotAJob::Version(version));
    }
    if version == 0 {
        return Err(NotAJob::BadJob("there is no version 0".to_owned()));
    }
    let job: Job = serde_json::from_value(value).map_err(|e| NotAJob::BadJob(e.to_string()))?;
    if archive::task_of_raw_key(&job.key).as_ref() != Some(&job.task_id) {
        return Err(NotAJob::BadJob("key is not that of a body of taskId".to_owned()));
    }
    Ok(vec![job])
}

fn from_s3_record(record: &Value) -> Option<Job> {
    let created = record["eventName"]
        .as_str()?
        .trim_start_matches("s3:")
        .starts_with("ObjectCreated:");
    let s3 = &record["s3"];
    // "The object key name is URL encoded", with + for a space (S3 user guide, "Event message structure").
    let encoded = s3["object"]["key"].as_str()?.replace('+', " ");
    let key = percent_decode_str(&encoded).decode_utf8().ok()?;
    created.then(|| from_object(&s3["bucket"]["name"], key))?
}

fn from_object(bucket: &Value, key: Cow<'_, str>) -> Option<Job> {
    Some(Job::new(
        archive::task_of_raw_key(&key)?,
        bucket.as_str()?,
        key.into_owned(),
    ))
}

/// A queue that is sent to: the render queue, or the results queue.
#[derive(Debug, Clone)]
pub struct Queue {
    sqs: Client,
    url: String,
}

/// SQS did not do as asked. Always worth another try.
#[derive(Debug, Error)]
#[error("SQS could not {action}: {reason}")]
pub struct QueueError {
    action: String,
    reason: String,
}

/// A message that was received, and is hidden from others for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// SQS's name for the message.
    pub id: String,
    /// What it says.
    pub body: String,
    receipt: String,
}

/// As many as SQS takes or gives at once.
pub const BATCH: usize = 10;

impl Queue {
    /// The queue, over a client whose time-outs are the caller's.
    pub fn new(sqs: Client, url: String) -> Self {
        Self { sqs, url }
    }

    /// Queues a message, as JSON.
    ///
    /// # Errors
    /// If SQS did not confirm that it has the message.
    pub async fn send(&self, task_id: &TaskId, message: &impl Serialize) -> Result<(), QueueError> {
        let error = |reason: String| QueueError {
            action: format!("queue a message of task {task_id}"),
            reason,
        };
        let body = serde_json::to_string(message).map_err(|e| error(e.to_string()))?;
        let send = self.sqs.send_message().queue_url(&self.url).message_body(body);
        send.send().await.map(drop).map_err(|e| error(clients::reason(&e)))
    }

    /// Queues up to [`BATCH`] messages as they are.
    ///
    /// # Errors
    /// If SQS did not confirm that it has all of them; it may have some.
    pub async fn send_batch(&self, bodies: &[String]) -> Result<(), QueueError> {
        let error = |reason: String| QueueError {
            action: format!("queue {} messages", bodies.len()),
            reason,
        };
        let mut batch = self.sqs.send_message_batch().queue_url(&self.url);
        for (id, body) in bodies.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .message_body(body);
            batch = batch.entries(entry.build().map_err(|e| error(e.to_string()))?);
        }
        let sent = batch.send().await.map_err(|e| error(clients::reason(&e)))?;
        all_done(&sent.failed).map_err(error)
    }

    /// Receives up to [`BATCH`] messages, and hides them from others for as long; none if none came
    /// for some seconds.
    ///
    /// # Errors
    /// If SQS did not answer, or did not allow it.
    pub async fn receive(&self, hidden: Duration) -> Result<Vec<Received>, QueueError> {
        let receive = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH as i32);
        let hidden = i32::try_from(hidden.as_secs()).unwrap_or(i32::MAX);
        // A long poll: a short one asks only some of SQS's servers.
        let received = receive.visibility_timeout(hidden).wait_time_seconds(2).send().await;
        let received = received.map_err(|e| error("receive messages", clients::reason(&e)))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .map(|message| Received {
                id: message.message_id.unwrap_or_default(),
                body: message.body.unwrap_or_default(),
                receipt: message.receipt_handle.unwrap_or_default(),
            })
            .collect())
    }

    /// Deletes up to [`BATCH`] messages that were received.
    ///
    /// # Errors
    /// If SQS did not confirm that it deleted all of them.
    pub async fn delete(&self, messages: &[Received]) -> Result<(), QueueError> {
        let error = |reason: String| error(&format!("delete {} messages", messages.len()), reason);
        let mut batch = self.sqs.delete_message_batch().queue_url(&self.url);
        for (id, message) in messages.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
            let entry = entry.receipt_handle(&message.receipt).build();
            batch = batch.entries(entry.map_err(|e| error(e.to_string()))?);
        }
        let deleted = batch.send().await.map_err(|e| error(clients::reason(&e)))?;
        all_done(&deleted.failed).map_err(error)
    }

    /// Lets others receive up to [`BATCH`] messages again at once.
    ///
    /// # Errors
    /// If SQS did not confirm that it does so for all of them.
    pub async fn release(&self, messages: &[Received]) -> Result<(), QueueError> {
        let error = |reason: String| error(&format!("release {} messages", messages.len()), reason);
        let mut batch = self.sqs.change_message_visibility_batch().queue_url(&self.url);
        for (id, message) in messages.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id.to_string());
            let entry = entry.receipt_handle(&message.receipt).visibility_timeout(0).build();
            batch = batch.entries(entry.map_err(|e| error(e.to_string()))?);
        }
        let released = batch.send().await.map_err(|e| error(clients::reason(&e)))?;
        all_done(&released.failed).map_err(error)
    }

    /// About how many messages there are, those hidden from receivers for now included.
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
        let answer = get
            .send()
            .await
            .map_err(|e| error("count messages", clients::reason(&e)))?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name| attributes.get(name)?.parse::<u64>().ok();
        Ok(counts.iter().filter_map(count).sum())
    }
}

fn all_done(failed: &[BatchResultErrorEntry]) -> Result<(), String> {
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} failed, the first with {}", failed.len(), first.code)),
    }
}

fn error(action: &str, reason: String) -> QueueError {
    QueueError {
        action: action.to_owned(),
        reason,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn job(key: &str) -> Job {
        Job::new("5c79".parse().unwrap(), "bucket", key.to_owned())
    }

    fn s3_event(name: &str, key: &str) -> String {
        format!(
            r#"{{"Records":[{{"eventSource":"aws:s3","eventName":"{name}","s3":{{"bucket":{{"name":"bucket"}},"object":{{"key":"{key}"}}}}}}]}}"#
        )
    }

    fn eventbridge(kind: &str, key: &str) -> String {
        format!(
            r#"{{"source":"aws.s3","detail-type":"{kind}","version":"0","detail":{{"bucket":{{"name":"bucket"}},"object":{{"key":"{key}"}}}}}}"#
        )
    }

    #[test]
    fn each_form_of_a_job_is_the_same_job() {
        let own = serde_json::to_string(&job("raw/5c79/a b.json")).unwrap();
        assert_eq!(
            own,
            r#"{"version":1,"taskId":"5c79","bucket":"bucket","key":"raw/5c79/a b.json"}"#
        );
        let sns = serde_json::json!({"Type": "Notification", "Message": s3_event("ObjectCreated:Put", "raw%2F5c79/a+b.json")}).to_string();
        for message in [
            own,
            s3_event("ObjectCreated:Put", "raw/5c79/a+b.json"),
            s3_event("ObjectCreated:Copy", "raw%2F5c79%2Fa%20b.json"),
            eventbridge("Object Created", "raw/5c79/a b.json"),
            sns,
        ] {
            assert_eq!(read(&message), Ok(vec![job("raw/5c79/a b.json")]), "{message}");
        }
    }

    #[test]
    fn events_of_no_concern_ask_for_nothing() {
        for message in [
            r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"bucket"}"#.to_owned(),
            r#"{"Records":[]}"#.to_owned(),
            s3_event("ObjectRemoved:Delete", "raw/5c79/a.json"),
            s3_event("ObjectCreated:Put", "midi/5c79.json"),
            eventbridge("Object Deleted", "raw/5c79/a.json"),
            eventbridge("Object Created", "midi/5c79.mid"),
        ] {
            assert_eq!(read(&message), Ok(vec![]), "{message}");
        }
    }

    #[test]
    fn what_is_no_job_says_why() {
        assert_eq!(read("hello"), Err(NotAJob::NotJson));
        for unknown in [
            "7",
            "[]",
            "{}",
            r#"{"taskId":"5c79"}"#,
            r#"{"Type":"Notification"}"#,
            r#"{"Records":[{"eventSource":"aws:sns"}]}"#,
        ] {
            assert_eq!(read(unknown), Err(NotAJob::Unknown), "{unknown}");
        }
        assert_eq!(read(r#"{"version":2}"#), Err(NotAJob::Version(2)));
        let bad = |json: &str| matches!(read(json), Err(NotAJob::BadJob(_)));
        assert!(bad(r#"{"version":1,"taskId":"5c79","bucket":"bucket"}"#));
        assert!(bad(
            r#"{"version":1,"taskId":"../x","bucket":"bucket","key":"raw/5c79/a.json"}"#
        ));
        assert!(bad(
            r#"{"version":1,"taskId":"other","bucket":"bucket","key":"raw/5c79/a.json"}"#
        ));
    }
}
