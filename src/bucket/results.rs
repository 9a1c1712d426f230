//! The results: published by [`Rank`], so that the same one stands in whatever order they arrive.
//!
//! A result is put only over the object that we have just seen. The ETag of a result identifies its body and its request,
//! because each file embeds that body's SHA-256 and the time of the request ([`suno_midi::format::Label`]). If a person
//! stores one body under two keys, both give the same song.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use aws_sdk_s3::{error::SdkError, operation::head_object::HeadObjectOutput};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use suno_midi::{
    Digest, RenderRequest, TaskId,
    document::{self, RESULTS, State},
    format::{self, File},
};

use super::{Bucket, Conflict, Page, bodies::WEBHOOK_TIMESTAMP, conditional, keys, precedence::Rank};
use crate::aws::Error;

const SOURCE_KEY: &str = "source-key";
const STATE: &str = "state";
const REQUESTED_AT: &str = "asked";
const CONTENT_SHA256: &str = "content-sha256";

/// What S3 tells of the result document of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultMeta {
    /// Its state, as a newer release may write it; `None` if midihook did not write it.
    pub state: Option<String>,
    /// The key of its body; `None` if it has none: the watch of its task ended, or midihook did not write it.
    pub body_key: Option<String>,
    /// When it was written.
    pub written: Option<SystemTime>,
}

/// A published result document, as far as we read it. Another release may have written it: members that we do not know are
/// left out, and the state is a text.
#[derive(Debug, Clone, Deserialize)]
pub struct ResultDocument {
    pub state: String,
    source: Option<ResultSource>,
    files: BTreeMap<String, String>,
    pub failure: Option<ResultFailure>,
    pub song: Option<ResultSong>,
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The names of what is in a body that cannot be read.
    #[serde(default)]
    pub members: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct ResultSource {
    #[serde(rename = "key", default)]
    body_key: String,
    /// Absent in documents of older releases.
    authenticated: Option<bool>,
    /// A newer release may know more options.
    asked: Option<Value>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ResultFailure {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    pub message: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ResultSong {
    #[serde(default)]
    pub seconds: f64,
    #[serde(default)]
    pub notes: u64,
    #[serde(default)]
    instruments: Vec<ResultPart>,
}

#[derive(Debug, Clone, Deserialize)]
struct ResultPart {
    file: Option<String>,
}

/// A result document in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    /// Its task.
    pub task_id: TaskId,
    /// When it was written.
    pub written: SystemTime,
}

/// What [`Bucket::publish`] or [`Bucket::withdraw`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The object was written, or removed.
    Changed,
    /// The same bytes from the same source were there already, or nothing.
    Unchanged,
    /// The object there comes from a body that outranks this one, or was requested later.
    Outranked,
}

struct PublishedObject {
    etag: String,
    rank: Rank,
    sha256: String,
}

impl ResultDocument {
    /// Whether there is a MIDI file.
    pub fn has_song(&self) -> bool {
        self.files.contains_key(format::MIDI.name)
    }

    /// The keys of all objects of the result.
    pub fn object_keys(&self) -> BTreeSet<&str> {
        let parts = self.song.iter().flat_map(|song| &song.instruments);
        let parts = parts.filter_map(|part| part.file.as_ref());
        self.files.values().chain(parts).map(String::as_str).collect()
    }

    /// The key of the body that it was made from.
    pub fn body_key(&self) -> Option<&str> {
        let source = self.source.as_ref()?;
        Some(source.body_key.as_str()).filter(|key| !key.is_empty())
    }

    /// Whether the body is certainly the provider's, because we polled for it; `None` if that is unknown.
    pub fn authenticated(&self) -> Option<bool> {
        self.source.as_ref()?.authenticated
    }

    /// The request that it answers, if we understand it.
    pub fn request(&self) -> Option<RenderRequest> {
        serde_json::from_value(self.source.as_ref()?.asked.clone()?).ok()
    }
}

impl Bucket {
    /// What S3 tells of the published result of a task, without reading it; `None` if it has none.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn result(&self, task_id: &TaskId) -> Result<Option<ResultMeta>, Error> {
        let head = self.head(&document::object_name(task_id, format::DOCUMENT)).await?;
        Ok(head.map(|head| {
            let mut metadata = head.metadata.unwrap_or_default();
            ResultMeta {
                state: metadata.remove(STATE),
                body_key: metadata.remove(SOURCE_KEY),
                written: head.last_modified.and_then(|time| SystemTime::try_from(time).ok()),
            }
        }))
    }

    /// Publishes a file of a result in `state`, unless the object that is there outranks it. If the caller has just
    /// seen that the task has no result (`is_first`), S3 is not asked what is there unless it refuses to write.
    ///
    /// # Errors
    /// If S3 did not answer or denied access, or if another renderer was faster in every attempt.
    pub async fn publish(
        &self,
        key: &str,
        file: &File,
        state: State,
        rank: &Rank,
        is_first: bool,
    ) -> Result<PublishOutcome, Error> {
        let sha256 = Digest::of(&file.bytes).to_string();
        let mut attempt = 1;
        loop {
            let there = match is_first && attempt == 1 {
                true => None,
                false => self.published(key).await?,
            };
            let mut put = self
                .put(key, file.bytes.clone(), file.format.content_type)
                .metadata(STATE, state.name())
                .metadata(WEBHOOK_TIMESTAMP, rank.webhook_timestamp().to_string())
                .metadata(CONTENT_SHA256, &sha256);
            if !rank.body_key().is_empty() {
                put = put.metadata(SOURCE_KEY, rank.body_key());
            }
            if rank.requested_at() != 0 {
                put = put.metadata(REQUESTED_AT, rank.requested_at().to_string());
            }
            let put = match there {
                None => put.if_none_match("*"),
                Some(there) if there.rank.outranks(rank) => return Ok(PublishOutcome::Outranked),
                Some(there) if there.rank == *rank && there.sha256 == sha256 => return Ok(PublishOutcome::Unchanged),
                Some(there) => put.if_match(there.etag),
            };
            let Err(conflict) = conditional(put).await else {
                return Ok(PublishOutcome::Changed);
            };
            let settled = conflict.try_again(attempt);
            settled.map_err(|reason| self.error("publish", key, reason))?;
            attempt += 1;
        }
    }

    /// Removes an object of an earlier result that the result of `rank` does not have, unless it is of a result that
    /// outranks this one. The bucket keeps the removed version for a while.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn withdraw(&self, key: &str, rank: &Rank) -> Result<PublishOutcome, Error> {
        let mut attempt = 1;
        loop {
            let there = match self.published(key).await? {
                None => return Ok(PublishOutcome::Unchanged),
                Some(there) if there.rank.outranks(rank) => return Ok(PublishOutcome::Outranked),
                Some(there) => there,
            };
            let delete = self.s3.delete_object().bucket(&self.name).key(key);
            let Err(error) = delete.if_match(there.etag).send().await else {
                return Ok(PublishOutcome::Changed);
            };
            let settled = Conflict::from(error).try_again(attempt);
            settled.map_err(|reason| self.error("remove", key, reason))?;
            attempt += 1;
        }
    }

    /// Lists result documents, from the beginning or from where another page ended.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn results(&self, from: Option<String>) -> Result<Page<StoredResult>, Error> {
        let document = |object: &aws_sdk_s3::types::Object| {
            Some(StoredResult {
                task_id: keys::task_of_result(object.key()?)?,
                written: SystemTime::try_from(*object.last_modified()?).ok()?,
            })
        };
        // The delimiter leaves out what is in midi/<taskId>/.
        self.page(RESULTS, Some("/"), from, document).await
    }

    async fn published(&self, key: &str) -> Result<Option<PublishedObject>, Error> {
        Ok(self.head(key).await?.map(|head| {
            let metadata = head.metadata.unwrap_or_default();
            let text = |name: &str| metadata.get(name).cloned().unwrap_or_default();
            let number = |name: &str| text(name).parse().unwrap_or(0);
            let rank = Rank::new(State::named(&text(STATE)), number(WEBHOOK_TIMESTAMP), &text(SOURCE_KEY));
            PublishedObject {
                etag: head.e_tag.unwrap_or_default(),
                rank: rank.with_request(number(REQUESTED_AT)),
                sha256: text(CONTENT_SHA256),
            }
        }))
    }

    async fn head(&self, key: &str) -> Result<Option<HeadObjectOutput>, Error> {
        match self.s3.head_object().bucket(&self.name).key(key).send().await {
            Ok(head) => Ok(Some(head)),
            Err(SdkError::ServiceError(e)) if e.err().is_not_found() => Ok(None),
            Err(error) => Err(self.error("look at", key, error)),
        }
    }
}
