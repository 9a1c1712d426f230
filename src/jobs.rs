//! The render job, and every message that means the same.
//!
//! A message names a body in the bucket and never carries one (the claim check pattern).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use suno_midi::TaskId;
use thiserror::Error;

use crate::objects;

/// The version of the job format.
const VERSION: u32 = 1;

/// "Render this body."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The version of the job format: 1.
    pub version: u32,
    /// The task.
    pub task_id: TaskId,
    /// The bucket of the body.
    pub bucket: String,
    /// The object name of the body, `raw/<taskId>/….json`.
    #[serde(rename = "key")]
    pub object: String,
}

impl Job {
    /// The job for a body.
    pub fn new(task_id: TaskId, bucket: &str, object: String) -> Self {
        Self {
            version: VERSION,
            task_id,
            bucket: bucket.to_owned(),
            object,
        }
    }
}

/// Why a message is not a job. Receiving the message again does not help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAJob {
    /// It is not JSON.
    #[error("the message is not JSON")]
    NotJson,
    /// It is not a kind of message that we understand.
    #[error("the message is neither a render job nor an S3 event")]
    Unknown,
    /// It looks like a job, but a member is missing or invalid.
    #[error("the message is not a valid render job: {0}")]
    BadJob(String),
    /// A job from a newer midihook.
    #[error("the job has version {0}, but only version {VERSION} is understood here: upgrade the renderer")]
    Version(u64),
}

/// Reads the jobs that a message asks for. S3's test event asks for none, nor does an event that does not create an
/// archived body.
///
/// Understands [`Job`], S3 event notifications (direct or through an SNS topic) and EventBridge's "Object Created"
/// events.
///
/// # Errors
/// [`NotAJob`] for anything else.
pub fn read(message: &str) -> Result<Vec<Job>, NotAJob> {
    let value: Value = serde_json::from_str(message).map_err(|_| NotAJob::NotJson)?;
    if let Some(records) = value["Records"].as_array() {
        // Records of another service are a configuration mistake, and must not vanish silently.
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
        let (bucket, object) = (
            &value["detail"]["bucket"]["name"],
            value["detail"]["object"]["key"].as_str(),
        );
        return Ok(object
            .filter(|_| created)
            .and_then(|object| from_object(bucket, object.into()))
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
    if objects::task_of_raw(&job.object).as_ref() != Some(&job.task_id) {
        return Err(NotAJob::BadJob("key does not name a body of taskId".to_owned()));
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
    let object = percent_decode_str(&encoded).decode_utf8().ok()?;
    created.then(|| from_object(&s3["bucket"]["name"], object))?
}

fn from_object(bucket: &Value, object: Cow<'_, str>) -> Option<Job> {
    Some(Job::new(
        objects::task_of_raw(&object)?,
        bucket.as_str()?,
        object.into_owned(),
    ))
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
    fn other_events_ask_for_nothing() {
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
    fn a_message_that_is_not_a_job_says_why() {
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
