//! A watched task: what its object says, and the messages that ask to look at it.
//!
//! The object comes first, then a message, so that a message that is lost loses nothing: whoever sends the next one finds
//! everything in the object. Each message that the reconciler sends has the number of its look. Of all messages that wait
//! for a task only the one with the next number counts, so a duplicate ends with the look that follows it.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use suno_midi::TaskId;
use thiserror::Error;

use crate::{
    clock::since_epoch,
    jobs::{self, NotAJob},
};

/// How long a task is watched: after that, the provider deletes its data.
pub const LONGEST: Duration = Duration::from_secs(14 * 86_400);
/// For how long the provider may say that it does not know a task before we believe it.
pub const UNKNOWN_FOR: Duration = Duration::from_secs(3600);
/// The shortest time between two questions about one task: ten seconds, and one more because the object has whole seconds.
pub const ASK_EVERY: Duration = Duration::from_secs(11);
/// A question has ended after this time: no invocation lives longer (`Timeout` in template.yaml).
pub const ASKED_WITHIN: Duration = Duration::from_secs(60);
/// How long a job may take until its body counts as not rendered. A job that failed once is received again after 6 minutes.
pub const RENDERED_WITHIN: Duration = Duration::from_secs(900);

const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// The version of the object and of the messages.
const VERSION: u32 = 1;

/// Who began to watch a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The command line.
    Cli,
    /// A body that arrived.
    Callback,
    /// A message that somebody sent to the watch queue.
    Message,
}

/// What became of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is no result yet.
    Watching,
    /// There is a result.
    Done,
    /// There was no result for as long as the provider keeps a task.
    Expired,
    /// The provider does not know the task.
    Unknown,
}

impl State {
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
    /// Who began it.
    pub source: Source,
    /// What became of it.
    pub state: State,
    /// The number of the next look. Messages with a smaller number are duplicates.
    #[serde(default)]
    pub look: u64,
    /// When the provider was last asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_asked: Option<u64>,
    /// What was learned last, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Nobody asks before this time: another question may be under way, or was answered moments ago, or the provider wants
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_after: Option<u64>,
    /// Since when the provider says that it does not know the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<u64>,
    /// When a job for a body of the task was last queued here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_queued: Option<u64>,
    /// When an unsigned callback last made us look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tip: Option<u64>,
    /// Whether the provider's last word is archived. Nothing more can be learned there.
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

impl Watch {
    /// A watch that begins now.
    pub fn new(task_id: TaskId, source: Source, now: SystemTime) -> Self {
        Self {
            version: VERSION,
            task_id,
            since: seconds(now),
            source,
            state: State::Watching,
            look: 0,
            last_asked: None,
            said: None,
            ask_after: None,
            unknown_since: None,
            last_queued: None,
            last_tip: None,
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

    /// The same task, watched again from now on. What the provider was asked and answered still counts.
    pub fn again(self, source: Source, now: SystemTime) -> Self {
        Self {
            look: self.look,
            last_asked: self.last_asked,
            ask_after: self.ask_after,
            last_queued: self.last_queued,
            answered: self.answered,
            ..Self::new(self.task_id, source, now)
        }
    }

    /// How long the task has been watched.
    pub fn age(&self, now: SystemTime) -> Duration {
        since_epoch(now).saturating_sub(Duration::from_secs(self.since))
    }

    /// How long to wait until the next look: longer for a task that is watched for longer.
    pub fn pause(&self, now: SystemTime) -> Duration {
        (self.age(now) / 4).clamp(FIRST_PAUSE, LONGEST_PAUSE)
    }

    /// Notes that somebody asks now. Until the answer is there, nobody else does.
    pub fn asking(&mut self, now: SystemTime) {
        self.last_asked = Some(seconds(now));
        self.ask_after = Some(seconds(now + ASKED_WITHIN + ASK_EVERY));
    }

    /// Notes that the provider has answered now, or that we gave up, and that it wants no question for so long.
    pub fn asked(&mut self, now: SystemTime, wait: Duration) {
        self.ask_after = Some(seconds(now + wait.max(ASK_EVERY)));
    }

    /// How long the provider must not be asked yet.
    pub fn must_not_ask_for(&self, now: SystemTime) -> Duration {
        Duration::from_secs(self.ask_after.unwrap_or(0)).saturating_sub(since_epoch(now))
    }

    /// Whether an unsigned callback made us look so short a time ago.
    pub fn had_a_tip_within(&self, span: Duration, now: SystemTime) -> bool {
        self.last_tip
            .is_some_and(|at| seconds(now).saturating_sub(at) < span.as_secs())
    }

    /// How long the jobs that were queued here may still take; `None` if none was queued after a body was stored.
    pub fn jobs_have(&self, newest_body: SystemTime, now: SystemTime) -> Option<Duration> {
        let queued = self.last_queued.filter(|&at| seconds(newest_body) <= at)?;
        Some(
            Duration::from_secs(queued)
                .saturating_add(RENDERED_WITHIN)
                .saturating_sub(since_epoch(now)),
        )
    }

    /// Whether it is time for another job of a body whose job has vanished. If its jobs vanish each time, they come ever
    /// less often.
    pub fn is_next_job_due(&self, now: SystemTime) -> bool {
        let queued = Duration::from_secs(self.last_queued.unwrap_or(0));
        since_epoch(now) >= queued.saturating_add((self.age(now) / 2).max(RENDERED_WITHIN))
    }
}

/// A time in whole Unix seconds.
pub fn seconds(time: SystemTime) -> u64 {
    since_epoch(time).as_secs()
}

/// "Look at this task": a message of the watch queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Message {
    version: u32,
    task_id: TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    look: Option<u64>,
}

impl Message {
    /// Somebody wants a task to be watched.
    pub fn new(task_id: TaskId) -> Self {
        Self {
            version: VERSION,
            task_id,
            look: None,
        }
    }

    /// The message for the next look at a watched task.
    pub fn next(watch: &Watch) -> Self {
        Self {
            look: Some(watch.look),
            ..Self::new(watch.task_id.clone())
        }
    }
}

/// A task to look at, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The task.
    pub task_id: TaskId,
    /// Why.
    pub cause: Cause,
}

/// Why a task is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Somebody sent a message.
    Asked,
    /// A body was stored in this bucket.
    Arrived(String),
    /// An earlier look asked for this one.
    Look(u64),
}

impl Cause {
    /// Who watches the task if nobody did before.
    pub fn source(&self) -> Source {
        match self {
            Self::Asked | Self::Look(_) => Source::Message,
            Self::Arrived(_) => Source::Callback,
        }
    }
}

/// Why a message names no task to look at. Receiving it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotARequest {
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

/// Reads the tasks that a message asks to look at. Like the render queue, the watch queue understands the events of S3.
///
/// # Errors
/// [`NotARequest`] for anything else.
pub fn read(message: &str) -> Result<Vec<Request>, NotARequest> {
    let value: Value = serde_json::from_str(message).map_err(|_| NotARequest::Unknown)?;
    if value.get("taskId").is_none() {
        let arrived = |job: jobs::Job| Request {
            task_id: job.task_id,
            cause: Cause::Arrived(job.bucket),
        };
        return match jobs::read(message) {
            Ok(jobs) => Ok(jobs.into_iter().map(arrived).collect()),
            Err(NotAJob::Version(version)) => Err(NotARequest::Version(version)),
            Err(NotAJob::NotJson | NotAJob::Unknown | NotAJob::BadJob(_)) => Err(NotARequest::Unknown),
        };
    }
    match value["version"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) if version > u64::from(VERSION) => return Err(NotARequest::Version(version)),
        _ => return Err(NotARequest::Bad(format!("version: it must be {VERSION}"))),
    }
    let Message { task_id, look, .. } =
        serde_json::from_value(value).map_err(|error| NotARequest::Bad(error.to_string()))?;
    let cause = look.map_or(Cause::Asked, Cause::Look);
    Ok(vec![Request { task_id, cause }])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn watch() -> Watch {
        Watch::new("t".parse().unwrap(), Source::Message, at(1000))
    }

    #[test]
    fn a_message_names_a_task_and_why_to_look() {
        let request = |cause| {
            Ok(vec![Request {
                task_id: "t".parse().unwrap(),
                cause,
            }])
        };
        assert_eq!(read(r#"{"version":1,"taskId":"t"}"#), request(Cause::Asked));
        let next = Message::next(&Watch { look: 7, ..watch() });
        assert_eq!(read(&serde_json::to_string(&next).unwrap()), request(Cause::Look(7)));
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
            assert_eq!(read(unknown), Err(NotARequest::Unknown), "{unknown}");
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
            assert!(matches!(read(bad), Err(NotARequest::Bad(_))), "{bad}");
        }
        assert_eq!(read(r#"{"version":2,"taskId":"t"}"#), Err(NotARequest::Version(2)));
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
                source: Source::Message,
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
    fn the_provider_may_be_asked_ten_seconds_after_the_answer_or_when_it_said() {
        let mut watch = watch();
        let wait = |watch: &Watch, now| watch.must_not_ask_for(at(now)).as_secs();
        assert_eq!(wait(&watch, 1000), 0);
        watch.asking(at(1000));
        assert_eq!(
            (watch.last_asked, wait(&watch, 1020)),
            (Some(1000), 51),
            "no answer yet"
        );
        watch.asked(at(1020), Duration::ZERO);
        assert_eq!([1020, 1030, 1031].map(|now| wait(&watch, now)), [11, 1, 0]);
        watch.asked(at(1020), Duration::from_secs(60));
        assert_eq!([1020, 1080].map(|now| wait(&watch, now)), [60, 0]);
        assert_eq!(
            watch.again(Source::Cli, at(1030)).must_not_ask_for(at(1030)).as_secs(),
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
