//! The render job, and every message that means the same.
//!
//! A message names a body in the bucket and never carries one (the claim check pattern).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use suno_midi::{RenderRequest, TaskId};
use thiserror::Error;

use crate::bucket::keys;

/// The version of a job without a request.
const PLAIN: u32 = 1;
/// The version of a job with a request. An older renderer refuses it, because it would ignore the request.
const WITH_REQUEST: u32 = 2;

/// "Render this body."
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The version of the job format: 2 with a request, 1 without.
    pub version: u32,
    /// The task.
    pub task_id: TaskId,
    /// The bucket of the body.
    pub bucket: String,
    /// The object key of the body, `raw/<taskId>/….json`.
    #[serde(rename = "key")]
    pub body_key: String,
    /// The musician's request; absent if the song gets the stack's options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<RenderRequest>,
}

impl Job {
    /// The job for a body.
    pub fn new(task_id: TaskId, bucket: &str, body_key: String) -> Self {
        Self {
            version: PLAIN,
            task_id,
            bucket: bucket.to_owned(),
            body_key,
            asked: None,
        }
    }

    /// The same job with a musician's request.
    pub fn with_request(self, asked: RenderRequest) -> Self {
        Self {
            version: WITH_REQUEST,
            asked: Some(asked),
            ..self
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
    #[error(
        "the job has version {0}, but only versions up to {WITH_REQUEST} are understood here: upgrade the renderer"
    )]
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
        let (bucket, key) = (&value["detail"]["bucket"]["name"], &value["detail"]["object"]["key"]);
        let key = key.as_str().filter(|_| created);
        return Ok(key.and_then(|key| from_key(bucket, key.into())).into_iter().collect());
    }
    if let (true, Some(inner)) = (value["Type"] == "Notification", value["Message"].as_str()) {
        return read(inner);
    }
    let Some(version) = value["version"].as_u64() else {
        return Err(NotAJob::Unknown);
    };
    if version > u64::from(WITH_REQUEST) {
        return Err(NotAJob::Version(version));
    }
    if version == 0 {
        return Err(NotAJob::BadJob("there is no version 0".to_owned()));
    }
    let job: Job = serde_json::from_value(value).map_err(|e| NotAJob::BadJob(e.to_string()))?;
    if job.asked.is_some() != (job.version == WITH_REQUEST) {
        let rule = format!("a job has the member asked if its version is {WITH_REQUEST}, and only then");
        return Err(NotAJob::BadJob(rule));
    }
    if job.asked.is_some_and(|asked| asked.at == 0) {
        // 0 is reserved for a result without a request.
        return Err(NotAJob::BadJob(
            "asked.at: it is a time after 1970 in milliseconds".to_owned(),
        ));
    }
    if keys::task_of_body(&job.body_key).as_ref() != Some(&job.task_id) {
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
    let key = percent_decode_str(&encoded).decode_utf8().ok()?;
    created.then(|| from_key(&s3["bucket"]["name"], key))?
}

fn from_key(bucket: &Value, key: Cow<'_, str>) -> Option<Job> {
    Some(Job::new(keys::task_of_body(&key)?, bucket.as_str()?, key.into_owned()))
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
    fn a_job_with_a_request_has_version_2_so_that_an_older_renderer_refuses_it() {
        let asked = r#"{"at":1795478400123,"options":{"tempo":"92","split":true}}"#;
        let job = job("raw/5c79/a.json").with_request(serde_json::from_str(asked).unwrap());
        let message = serde_json::to_string(&job).unwrap();
        assert_eq!(
            message,
            format!(r#"{{"version":2,"taskId":"5c79","bucket":"bucket","key":"raw/5c79/a.json","asked":{asked}}}"#)
        );
        assert_eq!(read(&message), Ok(vec![job]));
    }

    #[test]
    fn a_request_that_cannot_be_met_says_why() {
        let message = |version: u32, asked: &str| {
            format!(r#"{{"version":{version},"taskId":"5c79","bucket":"b","key":"raw/5c79/a.json"{asked}}}"#)
        };
        for (version, asked, words) in [
            (1, r#","asked":{"at":1,"options":{}}"#, "if its version is 2"),
            (2, "", "if its version is 2"),
            (
                2,
                r#","asked":{"at":1,"options":{"tempo":"fast"}}"#,
                "tempo: the tempo must be",
            ),
            (2, r#","asked":{"at":1,"options":{"bpm":92}}"#, "bpm: unknown field"),
            (2, r#","asked":{"at":0,"options":{}}"#, "asked.at: "),
            (2, r#","asked":{"options":{}}"#, "missing field `at`"),
        ] {
            let error = read(&message(version, asked)).unwrap_err().to_string();
            assert!(error.starts_with("the message is not a valid render job: "), "{error}");
            assert!(error.contains(words), "{error}");
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
        assert_eq!(read(r#"{"version":3}"#), Err(NotAJob::Version(3)));
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
