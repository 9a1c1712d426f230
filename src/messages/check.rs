//! The messages of the watch queue: "check this task".

use serde::{Deserialize, Serialize};
use serde_json::Value;
use suno_midi::TaskId;
use thiserror::Error;

use super::job::{self, Job, NotAJob};
use crate::bucket::watches::{Watch, WatchSource};

const VERSION: u32 = 1;

/// "Check this task."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckMessage {
    version: u32,
    task_id: TaskId,
    #[serde(rename = "look", skip_serializing_if = "Option::is_none")]
    check: Option<u64>,
}

impl CheckMessage {
    /// Watch this task, and check it now.
    pub fn new(task_id: TaskId) -> Self {
        Self {
            version: VERSION,
            task_id,
            check: None,
        }
    }

    /// The message for the next check of a watched task.
    pub fn next(watch: &Watch) -> Self {
        Self {
            check: Some(watch.check),
            ..Self::new(watch.task_id.clone())
        }
    }
}

/// A task to check, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The task.
    pub task_id: TaskId,
    /// Why.
    pub cause: Cause,
}

/// Why a task is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A message asks for it.
    Requested,
    /// A body was stored in this bucket.
    Arrived(String),
    /// An earlier check planned this one.
    Planned(u64),
}

impl Cause {
    /// What begins the watch, if the task is not watched.
    pub fn source(&self) -> WatchSource {
        match self {
            Self::Requested | Self::Planned(_) => WatchSource::Message,
            Self::Arrived(_) => WatchSource::Callback,
        }
    }
}

/// Why a message names no task to check. Receiving it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotACheck {
    /// It is neither a message for the watch queue nor an event.
    #[error("the message is neither a task to watch nor an S3 event")]
    Unknown,
    /// It looks like a message for the watch queue, but a member is missing, unknown or invalid.
    #[error("the message is not a valid task to watch: {0}")]
    Bad(String),
    /// A message from a newer midihook.
    #[error("the message has version {0}, but only version {VERSION} is understood here: upgrade the reconciler")]
    Version(u64),
}

/// Reads the tasks that a message asks to check. Like the render queue, the watch queue understands the events of S3.
///
/// # Errors
/// [`NotACheck`] for anything else.
pub fn read(message: &str) -> Result<Vec<Check>, NotACheck> {
    let value: Value = serde_json::from_str(message).map_err(|_| NotACheck::Unknown)?;
    if value.get("taskId").is_none() {
        let arrived = |job: Job| Check {
            task_id: job.task_id,
            cause: Cause::Arrived(job.bucket),
        };
        return match job::read(message) {
            Ok(jobs) => Ok(jobs.into_iter().map(arrived).collect()),
            Err(NotAJob::Version(version)) => Err(NotACheck::Version(version)),
            Err(NotAJob::NotJson | NotAJob::Unknown | NotAJob::BadJob(_)) => Err(NotACheck::Unknown),
        };
    }
    match value["version"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) if version > u64::from(VERSION) => return Err(NotACheck::Version(version)),
        _ => return Err(NotACheck::Bad(format!("version: it must be {VERSION}"))),
    }
    let message: CheckMessage = serde_json::from_value(value).map_err(|error| NotACheck::Bad(error.to_string()))?;
    Ok(vec![Check {
        task_id: message.task_id,
        cause: message.check.map_or(Cause::Requested, Cause::Planned),
    }])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_message_names_a_task_and_why_to_check() {
        let request = |cause| {
            Ok(vec![Check {
                task_id: "t".parse().unwrap(),
                cause,
            }])
        };
        assert_eq!(read(r#"{"version":1,"taskId":"t"}"#), request(Cause::Requested));
        let mut watch = Watch::new("t".parse().unwrap(), WatchSource::Message, SystemTime::UNIX_EPOCH);
        watch.check = 7;
        let next = CheckMessage::next(&watch);
        assert_eq!(read(&serde_json::to_string(&next).unwrap()), request(Cause::Planned(7)));
        let event = r#"{"source":"aws.s3","detail-type":"Object Created","version":"0","detail":{"bucket":{"name":"b"},"object":{"key":"raw/t/a.json"}}}"#;
        assert_eq!(read(event), request(Cause::Arrived("b".to_owned())));
        assert_eq!(read(&event.replace("raw/", "midi/")), Ok(vec![]));
        assert_eq!(read(r#"{"Event":"s3:TestEvent"}"#), Ok(vec![]));
    }

    #[test]
    fn a_message_that_is_not_understood_says_why() {
        for unknown in [
            "",
            "hello",
            "7",
            "[]",
            "{}",
            r#"{"Records":[{"eventSource":"aws:sns"}]}"#,
        ] {
            assert_eq!(read(unknown), Err(NotACheck::Unknown), "{unknown}");
        }
        for bad in [
            r#"{"taskId":"t"}"#,
            r#"{"version":0,"taskId":"t"}"#,
            r#"{"version":"1","taskId":"t"}"#,
            r#"{"version":1,"taskId":"../t"}"#,
            r#"{"version":1,"taskId":7}"#,
            r#"{"version":1,"taskId":"t","look":-1}"#,
            r#"{"version":1,"taskId":"t","bucket":"b","key":"raw/t/a.json"}"#,
        ] {
            assert!(matches!(read(bad), Err(NotACheck::Bad(_))), "{bad}");
        }
        assert_eq!(read(r#"{"version":2,"taskId":"t"}"#), Err(NotACheck::Version(2)));
    }
}
