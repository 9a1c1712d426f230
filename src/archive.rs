//! S3: where bodies are kept and results are published.
//!
//! Both promises are kept by conditional writes. A body is put only if its key is free, so that a
//! body once stored is never touched again. A result is put only over the very object that was
//! seen, so that two renderers at once cannot undo each other: its ETag tells, for no two bodies give
//! the same bytes ([`suno_midi::format::midi::smf`]). Two keys that hold one body, as only a person makes them, are
//! the same song.

use std::{
    ops::RangeBounds,
    time::{Duration, SystemTime},
};

use aws_sdk_s3::{
    Client,
    error::SdkError,
    operation::{get_object::GetObjectError, put_object::builders::PutObjectFluentBuilder},
    primitives::{ByteStream, DateTime, DateTimeFormat},
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use suno_midi::{
    TaskId,
    document::{State, hex},
};

use crate::clients;

/// The prefix of archived bodies.
pub const RAW: &str = "raw/";

/// The largest object that is read, in bytes: no callback is as large.
pub const MAX_OBJECT_BYTES: u64 = 32 * 1024 * 1024;

const RECEIVED_AT: &str = "received-at";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const SOURCE: &str = "source";
const SOURCE_KEY: &str = "source-key";
const STATE: &str = "state";
const CONTENT_SHA256: &str = "content-sha256";

/// How often a write that met another one is tried again before it is given up to the caller's own
/// retry.
const CONFLICT_ATTEMPTS: u32 = 5;

/// The bucket.
#[derive(Debug, Clone)]
pub struct Archive {
    s3: Client,
    bucket: String,
}

/// S3 did not do as asked. Always worth another try, by whoever asked us.
#[derive(Debug, Error)]
#[error("S3 could not {action} {key}: {reason}")]
pub struct ArchiveError {
    action: &'static str,
    key: String,
    reason: String,
}

/// What [`Archive::store`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The body is new.
    New,
    /// These very bytes of this task were there already.
    AlreadyThere,
}

/// An archived body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawObject {
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// When the provider sent it, in Unix seconds; if that is not recorded, when it was stored.
    pub webhook_timestamp: u64,
}

/// What [`Archive::load`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// The body.
    Body(RawObject),
    /// An object of more than [`MAX_OBJECT_BYTES`], in bytes; it was not read.
    TooLarge(u64),
    /// There is no such object.
    Gone,
}

/// What [`Archive::publish`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The object was written.
    Written,
    /// The same bytes from the same source were there already.
    Unchanged,
    /// The object there comes from a body that outranks this one.
    Outranked,
}

/// Which of several bodies of a task decides: a song before an empty song before anything else, then
/// the newer, then the greater key. A total order, so that any order of arrival ends alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    class: u8,
    webhook_timestamp: u64,
    source_key: String,
}

impl Rank {
    /// The rank of a body that renders to `state`.
    pub fn new(state: State, webhook_timestamp: u64, source_key: &str) -> Self {
        Self {
            class: class(state.name()),
            webhook_timestamp,
            source_key: source_key.to_owned(),
        }
    }

    /// Whether a result of this rank stays where one of `new` is to be published. A newer release may judge
    /// the same body otherwise, as long as no file is left that its document does not know.
    fn stands_before(&self, new: &Self) -> bool {
        let same_body = (self.webhook_timestamp, &self.source_key) == (new.webhook_timestamp, &new.source_key);
        self > new && !(same_body && new.class > 0)
    }
}

/// The states with files are above those without, so that no file is left behind by a document that
/// does not know it.
fn class(state: &str) -> u8 {
    match state {
        "rendered" => 2,
        "empty" => 1,
        _ => 0,
    }
}

/// The key of a body: `raw/<taskId>/<sha256 of the body, hex>.json`.
pub fn raw_key(task_id: &TaskId, body: &[u8]) -> String {
    format!("{RAW}{task_id}/{}.json", hex_sha256(body))
}

/// The task whose body has this key; `None` if it is not the key of a body.
pub fn task_of_raw_key(key: &str) -> Option<TaskId> {
    let (task_id, name) = key.strip_prefix(RAW)?.split_once('/')?;
    (name.len() > ".json".len() && name.ends_with(".json") && !name.contains('/')).then(|| task_id.parse().ok())?
}

fn hex_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

impl Archive {
    /// The bucket, over a client whose time-outs are the caller's.
    pub fn new(s3: Client, bucket: String) -> Self {
        Self { s3, bucket }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Stores a callback's body under [`raw_key`], unless it is there.
    ///
    /// # Errors
    /// If S3 did not confirm that the body is there.
    pub async fn store(
        &self,
        key: &str,
        body: Vec<u8>,
        webhook_timestamp: u64,
        received_at: SystemTime,
    ) -> Result<Stored, ArchiveError> {
        let received_at = DateTime::from(received_at)
            .fmt(DateTimeFormat::DateTime)
            .unwrap_or_default();
        let mut last = String::new();
        for _ in 0..CONFLICT_ATTEMPTS {
            let put = self
                .put(key, body.clone(), "application/json")
                .if_none_match("*")
                .metadata(RECEIVED_AT, &received_at)
                .metadata(WEBHOOK_TIMESTAMP, webhook_timestamp.to_string())
                .metadata(SOURCE, "callback");
            match conditional(put).await {
                Ok(()) => return Ok(Stored::New),
                Err(Conflict::Changed) => return Ok(Stored::AlreadyThere),
                // Another writer was at it; S3 may now hold its object, or none.
                Err(Conflict::Raced(reason)) => last = reason,
                Err(Conflict::Failed(reason)) => return Err(error("store", key, reason)),
            }
        }
        Err(error("store", key, last))
    }

    /// An archived body.
    ///
    /// # Errors
    /// If S3 did not answer, or did not allow it.
    pub async fn load(&self, key: &str) -> Result<Loaded, ArchiveError> {
        let object = match self.s3.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => object,
            Err(SdkError::ServiceError(e)) if matches!(e.err(), GetObjectError::NoSuchKey(_)) => {
                return Ok(Loaded::Gone);
            }
            Err(e) => return Err(error("read", key, clients::reason(&e))),
        };
        let bytes = object.content_length.and_then(|bytes| u64::try_from(bytes).ok());
        if let Some(bytes) = bytes.filter(|&bytes| bytes > MAX_OBJECT_BYTES) {
            return Ok(Loaded::TooLarge(bytes));
        }
        let sent = object
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.get(WEBHOOK_TIMESTAMP)?.parse().ok());
        let stored = || {
            object
                .last_modified
                .and_then(|time| u64::try_from(time.secs()).ok())
                .unwrap_or(0)
        };
        let webhook_timestamp = sent.unwrap_or_else(stored);
        let body = object.body.collect().await.map_err(|e| error("read", key, e))?;
        Ok(Loaded::Body(RawObject {
            body: body.to_vec(),
            webhook_timestamp,
        }))
    }

    /// The bodies of a task, or of all, that were stored within `when`, in the order of their keys. All
    /// are listed to find those of a time, a thousand a request; `listed` is told after each how many
    /// there were so far.
    ///
    /// # Errors
    /// If S3 did not answer, or did not allow it.
    pub async fn bodies(
        &self,
        task_id: Option<&TaskId>,
        when: impl RangeBounds<SystemTime>,
        mut listed: impl FnMut(u64),
    ) -> Result<Vec<(TaskId, String)>, ArchiveError> {
        let prefix = task_id.map_or_else(|| RAW.to_owned(), |task_id| format!("{RAW}{task_id}/"));
        let list = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
        let mut pages = list.into_paginator().send();
        let (mut bodies, mut objects) = (Vec::new(), 0);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| error("list", &prefix, clients::reason(&e)))?;
            objects += page.contents().len() as u64;
            listed(objects);
            for object in page.contents() {
                let stored = object.last_modified().and_then(|time| SystemTime::try_from(*time).ok());
                if let (Some(key), Some(stored)) = (object.key(), stored)
                    && let Some(task_id) = task_of_raw_key(key)
                    && when.contains(&stored)
                {
                    bodies.push((task_id, key.to_owned()));
                }
            }
        }
        Ok(bodies)
    }

    /// Publishes one object of a result, unless the one there outranks it.
    ///
    /// # Errors
    /// If S3 did not answer or did not allow it, or other renderers were always first.
    pub async fn publish(
        &self,
        key: &str,
        bytes: &[u8],
        content_type: &str,
        state: State,
        rank: &Rank,
    ) -> Result<Published, ArchiveError> {
        let sha256 = hex_sha256(bytes);
        let mut last = "other renderers were always first".to_owned();
        for _ in 0..CONFLICT_ATTEMPTS {
            let there = self.published(key).await?;
            let put = self
                .put(key, bytes.to_vec(), content_type)
                .metadata(STATE, state.name())
                .metadata(WEBHOOK_TIMESTAMP, rank.webhook_timestamp.to_string())
                .metadata(SOURCE_KEY, &rank.source_key)
                .metadata(CONTENT_SHA256, &sha256);
            let put = match there {
                None => put.if_none_match("*"),
                Some(there) if there.rank.stands_before(rank) => return Ok(Published::Outranked),
                Some(there) if there.rank == *rank && there.sha256 == sha256 => return Ok(Published::Unchanged),
                Some(there) => put.if_match(there.etag),
            };
            match conditional(put).await {
                Ok(()) => return Ok(Published::Written),
                Err(Conflict::Changed) => {}
                Err(Conflict::Raced(reason)) => last = reason,
                Err(Conflict::Failed(reason)) => return Err(error("publish", key, reason)),
            }
        }
        Err(error("publish", key, last))
    }

    async fn published(&self, key: &str) -> Result<Option<PublishedObject>, ArchiveError> {
        match self.s3.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(head) => {
                let metadata = head.metadata.unwrap_or_default();
                let text = |name: &str| metadata.get(name).cloned().unwrap_or_default();
                // An object that midihook did not write has the lowest rank.
                let rank = Rank {
                    class: class(&text(STATE)),
                    webhook_timestamp: text(WEBHOOK_TIMESTAMP).parse().unwrap_or(0),
                    source_key: text(SOURCE_KEY),
                };
                Ok(Some(PublishedObject {
                    etag: head.e_tag.unwrap_or_default(),
                    rank,
                    sha256: text(CONTENT_SHA256),
                }))
            }
            Err(SdkError::ServiceError(e)) if e.err().is_not_found() => Ok(None),
            Err(e) => Err(error("look at", key, clients::reason(&e))),
        }
    }

    fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> PutObjectFluentBuilder {
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(bytes))
    }
}

struct PublishedObject {
    etag: String,
    rank: Rank,
    sha256: String,
}

/// Why a conditional put did not put.
enum Conflict {
    /// 412: the condition does not hold.
    Changed,
    /// 409: another write came between; S3 may hold either object, or none. 404: the object that
    /// `If-Match` named was deleted.
    Raced(String),
    /// Anything else.
    Failed(String),
}

/// The SDK has a type for none of these answers, and retries none.
async fn conditional(put: PutObjectFluentBuilder) -> Result<(), Conflict> {
    match put.send().await {
        Ok(_) => Ok(()),
        Err(e) => Err(match e.raw_response().map(|response| response.status().as_u16()) {
            Some(412) => Conflict::Changed,
            Some(409 | 404) => Conflict::Raced(clients::reason(&e)),
            _ => Conflict::Failed(clients::reason(&e)),
        }),
    }
}

fn error(action: &'static str, key: &str, reason: impl ToString) -> ArchiveError {
    ArchiveError {
        action,
        key: key.to_owned(),
        reason: reason.to_string(),
    }
}

/// The time since the Unix epoch; zero for a clock set before it.
pub fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_bodys_key_names_its_task_and_its_bytes() {
        let key = raw_key(&"5c79".parse().unwrap(), b"{}");
        assert_eq!(
            key,
            "raw/5c79/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a.json"
        );
        assert_eq!(task_of_raw_key(&key).unwrap().as_str(), "5c79");
        assert_eq!(task_of_raw_key("raw/5c79/by-hand.json").unwrap().as_str(), "5c79");
        for other in [
            "raw/5c79.json",
            "midi/5c79.json",
            "raw/5c79/a/b.json",
            "raw/../b.json",
            "raw/5c79/b.txt",
            "raw/5c79/.json",
            "raw//b.json",
        ] {
            assert_eq!(task_of_raw_key(other), None, "{other}");
        }
    }

    #[test]
    fn a_failure_never_outranks_a_song_and_the_newer_song_decides() {
        let rank = |state, time| Rank::new(state, time, "k");
        assert!(rank(State::Rendered, 1) > rank(State::Failed, 9));
        assert!(rank(State::Rendered, 1) > rank(State::Empty, 9));
        assert!(rank(State::Empty, 1) > rank(State::Invalid, 9));
        assert!(rank(State::Rendered, 2) > rank(State::Rendered, 1));
        assert!(rank(State::Failed, 2) > rank(State::Unsupported, 1));
        assert!(Rank::new(State::Rendered, 1, "b") > Rank::new(State::Rendered, 1, "a"));
    }

    #[test]
    fn a_newer_release_may_judge_the_same_body_otherwise() {
        let rank = |state, time| Rank::new(state, time, "k");
        assert!(!rank(State::Rendered, 1).stands_before(&rank(State::Empty, 1)));
        assert!(rank(State::Rendered, 1).stands_before(&rank(State::Empty, 2)));
        assert!(
            rank(State::Rendered, 1).stands_before(&rank(State::Invalid, 1)),
            "its files would be left"
        );
        assert!(!rank(State::Rendered, 1).stands_before(&rank(State::Rendered, 1)));
    }
}
