//! The watched tasks: what their objects say, and when to check and to poll again.
//!
//! The object holds all state, so losing a message loses nothing. Each message that the reconciler sends has the number of
//! its check. Only the message with the next number counts, so a duplicate ends with the check that follows it.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use suno_midi::TaskId;
use thiserror::Error;

use super::{Bucket, Loaded, Page, keys};
use crate::{
    aws,
    time::{seconds, since_epoch},
};

/// How long a task is watched: after that, the provider deletes its data.
pub const LONGEST: Duration = Duration::from_secs(14 * 86_400);
/// We believe that the provider does not know a task when it has said so for this long.
pub const UNKNOWN_FOR: Duration = Duration::from_secs(3600);
/// The shortest time between two polls of one task: ten seconds, and one more because the object has whole seconds.
pub const POLL_EVERY: Duration = Duration::from_secs(11);
/// A poll has ended after this time: no invocation lives longer (`Timeout` in template.yaml).
pub const POLLED_WITHIN: Duration = Duration::from_secs(60);
/// How long a job may take until its body counts as not rendered. A job that failed once is received again after 6 minutes.
pub const RENDERED_WITHIN: Duration = Duration::from_secs(900);

const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

const VERSION: u32 = 1;

/// What began a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchSource {
    /// The command line.
    Cli,
    /// A body that arrived.
    Callback,
    /// A message in the watch queue.
    Message,
}

/// What became of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchState {
    /// There is no result yet.
    Watching,
    /// There is a result.
    Done,
    /// There was no result for as long as the provider keeps a task.
    Expired,
    /// The provider does not know the task.
    Unknown,
}

impl WatchState {
    /// Its name in the object.
    pub fn name(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Done => "done",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}

/// The object `watch/<taskId>.json`. All times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    version: u32,
    /// The task.
    pub task_id: TaskId,
    /// When the watch began.
    pub since: u64,
    /// What began it.
    pub source: WatchSource,
    /// What became of it.
    pub state: WatchState,
    /// The number of the next check. Messages with a smaller number are duplicates.
    #[serde(default, rename = "look")]
    pub check: u64,
    /// When the provider was last polled.
    #[serde(rename = "lastAsked", skip_serializing_if = "Option::is_none")]
    pub last_polled: Option<u64>,
    /// What the last check learned, for people.
    #[serde(rename = "said", skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The earliest time of the next poll: a poll is running, just ran, or the provider limits our rate.
    #[serde(rename = "askAfter", skip_serializing_if = "Option::is_none")]
    pub poll_after: Option<u64>,
    /// Since when the provider says that it does not know the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<u64>,
    /// When a job for a body of the task was last queued here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_queued: Option<u64>,
    /// When a callback last was a hint to check now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_hint: Option<u64>,
    /// Whether the provider's final answer is stored. Polling again cannot change the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
}

/// Why an object is not a watch.
#[derive(Debug, Error)]
pub enum NotAWatch {
    /// Its JSON is not that of a watch.
    #[error("the object is not a watched task")]
    Unreadable(#[from] serde_json::Error),
    /// It is about another task than its name.
    #[error("the object is about another task")]
    OtherTask,
    /// A newer midihook wrote it.
    #[error("the object has version {0}, but only version {VERSION} is understood here: upgrade the reconciler")]
    Version(u32),
}

/// Why a watched task cannot be read or written.
#[derive(Debug, Error)]
pub enum WatchError {
    /// S3 failed.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// The object of the task is something else.
    #[error("{object_key} cannot be used")]
    NotAWatch {
        /// Its key.
        object_key: String,
        /// Why.
        #[source]
        source: NotAWatch,
    },
    /// The object is larger than any that we write.
    #[error("{0} is too large")]
    TooLarge(String),
}

impl WatchError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Aws(error) => error.is_transient(),
            Self::NotAWatch { .. } | Self::TooLarge(_) => false,
        }
    }
}

impl Watch {
    /// A watch that begins now.
    pub fn new(task_id: TaskId, source: WatchSource, now: SystemTime) -> Self {
        Self {
            version: VERSION,
            task_id,
            since: seconds(now),
            source,
            state: WatchState::Watching,
            check: 0,
            last_polled: None,
            note: None,
            poll_after: None,
            unknown_since: None,
            last_queued: None,
            last_hint: None,
            answered: false,
        }
    }

    /// Reads the object of a task.
    ///
    /// # Errors
    /// [`NotAWatch`] if it is something else, which must not be overwritten.
    pub fn read(task_id: &TaskId, object: &[u8]) -> Result<Self, NotAWatch> {
        let watch: Self = serde_json::from_slice(object)?;
        if watch.version != VERSION {
            return Err(NotAWatch::Version(watch.version));
        }
        if watch.task_id != *task_id {
            return Err(NotAWatch::OtherTask);
        }
        Ok(watch)
    }

    /// The object's bytes.
    ///
    /// # Errors
    /// If it cannot be serialized.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// The same task, watched again from now on. Earlier polls and answers still count.
    pub fn again(self, source: WatchSource, now: SystemTime) -> Self {
        Self {
            check: self.check,
            last_polled: self.last_polled,
            poll_after: self.poll_after,
            last_hint: self.last_hint,
            last_queued: self.last_queued,
            answered: self.answered,
            ..Self::new(self.task_id, source, now)
        }
    }

    /// How long the task has been watched.
    pub fn age(&self, now: SystemTime) -> Duration {
        since_epoch(now).saturating_sub(Duration::from_secs(self.since))
    }

    /// How long to wait until the next check: longer for a task that is watched for longer.
    pub fn pause(&self, now: SystemTime) -> Duration {
        (self.age(now) / 4).clamp(FIRST_PAUSE, LONGEST_PAUSE)
    }

    /// A poll begins. Until it has ended, there is no other.
    pub fn mark_polling(&mut self, now: SystemTime) {
        self.last_polled = Some(seconds(now));
        self.poll_after = Some(seconds(now + POLLED_WITHIN + POLL_EVERY));
    }

    /// The poll has ended. The provider wants no other within `wait`.
    pub fn mark_polled(&mut self, now: SystemTime, wait: Duration) {
        self.poll_after = Some(seconds(now + wait.max(POLL_EVERY)));
    }

    /// How long to wait until the provider may be polled.
    pub fn until_poll(&self, now: SystemTime) -> Duration {
        Duration::from_secs(self.poll_after.unwrap_or(0)).saturating_sub(since_epoch(now))
    }

    /// Whether a hint came less than [`POLL_EVERY`] ago.
    pub fn has_hint(&self, now: SystemTime) -> bool {
        self.last_hint
            .is_some_and(|at| seconds(now).saturating_sub(at) < POLL_EVERY.as_secs())
    }

    /// How long the jobs that were queued here may still take; `None` if none was queued since this body was stored.
    pub fn jobs_have(&self, newest_body: SystemTime, now: SystemTime) -> Option<Duration> {
        let queued = self.last_queued.filter(|&at| seconds(newest_body) <= at)?;
        Some(
            Duration::from_secs(queued)
                .saturating_add(RENDERED_WITHIN)
                .saturating_sub(since_epoch(now)),
        )
    }

    /// Whether it is time for another job of a body whose job has vanished. The longer the watch, the rarer these jobs.
    pub fn is_next_job_due(&self, now: SystemTime) -> bool {
        let queued = Duration::from_secs(self.last_queued.unwrap_or(0));
        since_epoch(now) >= queued.saturating_add((self.age(now) / 2).max(RENDERED_WITHIN))
    }
}

impl Bucket {
    /// Lists watched tasks, also those whose watch has ended, from the beginning or from where another page ended.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn watches(&self, from: Option<String>) -> Result<Page<TaskId>, aws::Error> {
        let task = |object: &aws_sdk_s3::types::Object| keys::task_of_watch(object.key()?);
        self.page(keys::WATCHES, None, from, task).await
    }

    /// Reads a watched task and the version of its object; `None` if it is not watched.
    ///
    /// # Errors
    /// If S3 failed, or the object is something else.
    pub async fn watch(&self, task_id: &TaskId) -> Result<Option<(Watch, String)>, WatchError> {
        let object_key = keys::watch(task_id);
        match self.load(&object_key).await? {
            Loaded::Missing => Ok(None),
            Loaded::TooLarge(_) => Err(WatchError::TooLarge(object_key)),
            Loaded::Found(object) => match Watch::read(task_id, &object.bytes) {
                Ok(watch) => Ok(Some((watch, object.etag))),
                Err(source) => Err(WatchError::NotAWatch { object_key, source }),
            },
        }
    }

    /// Writes a watched task if its object is still the version that the caller has seen. Returns the new version; `None`
    /// if another writer was faster.
    ///
    /// # Errors
    /// If S3 failed.
    pub async fn put_watch(&self, watch: &Watch, seen: Option<&str>) -> Result<Option<String>, WatchError> {
        let object_key = keys::watch(&watch.task_id);
        let bytes = match watch.to_json() {
            Ok(bytes) => bytes,
            Err(error) => {
                let source = NotAWatch::Unreadable(error);
                return Err(WatchError::NotAWatch { object_key, source });
            }
        };
        Ok(self.replace(&object_key, bytes, seen).await?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn watch() -> Watch {
        Watch::new("t".parse().unwrap(), WatchSource::Message, at(1000))
    }

    #[test]
    fn an_object_that_is_not_a_watch_is_not_read() {
        let task = "t".parse().unwrap();
        let json = watch().to_json().unwrap();
        assert_eq!(Watch::read(&task, &json).unwrap(), watch());
        assert!(matches!(
            Watch::read(&"u".parse().unwrap(), &json),
            Err(NotAWatch::OtherTask)
        ));
        let newer = String::from_utf8(json)
            .unwrap()
            .replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(
            Watch::read(&task, newer.as_bytes()),
            Err(NotAWatch::Version(2))
        ));
        assert!(matches!(Watch::read(&task, b"{}"), Err(NotAWatch::Unreadable(_))));
        // What another program must write, at least.
        let least = br#"{"version":1,"taskId":"t","since":1000,"source":"cli","state":"watching"}"#;
        let least = Watch::read(&task, least).unwrap();
        assert_eq!(
            Watch {
                source: WatchSource::Message,
                ..least
            },
            watch()
        );
    }

    #[test]
    fn pauses_grow_from_half_a_minute_to_a_quarter_of_an_hour() {
        let pause = |age: u64| watch().pause(at(1000 + age)).as_secs();
        assert_eq!([0, 120, 240, 3600, 86_400].map(pause), [30, 30, 60, 900, 900]);
        assert_eq!(watch().pause(at(0)).as_secs(), 30, "the clock was set back");
    }

    #[test]
    fn the_provider_may_be_polled_ten_seconds_after_its_answer_or_when_it_says() {
        let mut watch = watch();
        let wait = |watch: &Watch, now| watch.until_poll(at(now)).as_secs();
        assert_eq!(wait(&watch, 1000), 0);
        watch.mark_polling(at(1000));
        assert_eq!(
            (watch.last_polled, wait(&watch, 1020)),
            (Some(1000), 51),
            "no answer yet"
        );
        watch.mark_polled(at(1020), Duration::ZERO);
        assert_eq!([1020, 1030, 1031].map(|now| wait(&watch, now)), [11, 1, 0]);
        watch.mark_polled(at(1020), Duration::from_secs(60));
        assert_eq!([1020, 1080].map(|now| wait(&watch, now)), [60, 0]);
        assert_eq!(
            watch.again(WatchSource::Cli, at(1030)).until_poll(at(1030)).as_secs(),
            50
        );
    }

    #[test]
    fn jobs_that_vanish_each_time_come_ever_less_often() {
        let mut watch = watch();
        let mut jobs = 0;
        for minute in 0..14 * 24 * 60 {
            let now = at(1000 + minute * 60);
            if watch.is_next_job_due(now) {
                watch.last_queued = Some(seconds(now));
                jobs += 1;
            }
        }
        assert!((10..20).contains(&jobs), "{jobs}");
    }

    #[test]
    fn a_body_that_came_after_the_last_job_has_none() {
        let watch = Watch {
            last_queued: Some(2000),
            ..watch()
        };
        let have = |body, now| watch.jobs_have(at(body), at(now)).map(|left| left.as_secs());
        assert_eq!(have(2001, 2010), None);
        assert_eq!(have(2000, 2010), Some(890));
        assert_eq!(have(1000, 2900), Some(0));
    }
}
