//! S3: where bodies are kept and results are published.
//!
//! All writes are conditional. A body is put only if its name is free, so that a stored body never changes. A result is
//! put only over the object that we have just seen, so that two renderers cannot undo each other's work. The ETag of a
//! result identifies the body and the request that it was made from, because each file embeds that body's SHA-256 and the
//! time of the request ([`suno_midi::format::Label`]). If a person stores one body under two names, both give the same song.

use std::{
    ops::RangeBounds,
    time::{Duration, SystemTime},
};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        get_object::GetObjectError, head_object::HeadObjectOutput, put_object::builders::PutObjectFluentBuilder,
    },
    presigning::PresigningConfig,
    primitives::{ByteStream, DateTime, DateTimeFormat},
    types::Object,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use suno_midi::{
    Digest, TaskId,
    document::{self, RESULTS, State},
    format,
};
use thiserror::Error;

use crate::{
    call_error::CallError,
    objects::{self, RAW, WATCH},
    precedence::Rank,
};

/// The largest object that we read, in bytes. No callback is that large.
pub const MAX_OBJECT_BYTES: u64 = 32 * 1024 * 1024;

const RECEIVED_AT: &str = "received-at";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const SOURCE: &str = "source";
const POLL: &str = "poll";
const SOURCE_OBJECT: &str = "source-key";
const STATE: &str = "state";
const ASKED: &str = "asked";
const CONTENT_SHA256: &str = "content-sha256";

/// How many times we try a write that conflicts with other writes. After that the caller must retry.
const CONFLICT_ATTEMPTS: u32 = 5;

/// How many times we read an object whose body breaks off, or stalls for the SDK's five seconds.
const BODY_ATTEMPTS: u32 = 3;

/// The bucket.
#[derive(Debug, Clone)]
pub struct Archive {
    s3: Client,
    bucket: String,
}

/// S3 could not do what we asked.
#[derive(Debug, Error)]
#[error("S3 could not {action} {object} in the bucket {bucket}{}", advice(source))]
pub struct ArchiveError {
    action: &'static str,
    object: String,
    bucket: String,
    #[source]
    source: CallError,
}

/// What to do if the bucket itself is wrong. S3 answers 301 if it is in another region; the answer to a HEAD has no code.
fn advice(error: &CallError) -> &'static str {
    match error {
        CallError::Answered { code, status, .. } if *status == 301 || code.as_deref() == Some("NoSuchBucket") => {
            ", which is not in this region (check the stack's parameter BucketName)"
        }
        _ => "",
    }
}

impl ArchiveError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        self.source.is_transient()
    }
}

/// Where a body came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The provider called back.
    Callback,
    /// We asked the provider (record-info).
    Poll,
    /// We asked the provider whether a callback is right, so its answer decides.
    Verification,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Poll | Self::Verification => POLL,
        }
    }
}

/// A verified body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The task that the body is about.
    pub task_id: TaskId,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Where it came from.
    pub origin: Origin,
    /// When the provider sent the body, in Unix seconds.
    pub webhook_timestamp: u64,
    /// When we received the body.
    pub received_at: SystemTime,
}

impl Arrival {
    /// The name under which it is stored.
    pub fn object(&self) -> String {
        match self.origin {
            Origin::Callback | Origin::Poll => objects::raw(&self.task_id, &self.body),
            Origin::Verification => objects::deciding(&self.task_id, &self.body),
        }
    }
}

/// What [`Archive::store`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The body is new.
    New,
    /// The same bytes of this task were there already.
    AlreadyThere,
}

/// An object, most often an archived body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawObject {
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// When the provider sent it, in Unix seconds; if that is not recorded, when it was stored.
    pub webhook_timestamp: u64,
    /// Whether we asked the provider for it.
    pub asked_for: bool,
    /// Which version of the object this is, for [`Archive::replace`].
    pub etag: String,
}

/// A body in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBody {
    /// The task that it is about.
    pub task_id: TaskId,
    /// Its object name.
    pub object: String,
    /// When it was stored.
    pub stored: SystemTime,
}

/// The published result of a task, as S3 tells of its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its state, as a newer release may write it; `None` if midihook did not write it.
    pub state: Option<String>,
    /// The body that it is of; `None` if it is of none: the watch of its task ended, or midihook did not write it.
    pub source: Option<String>,
    /// When it was written.
    pub written: Option<SystemTime>,
}

/// A result document in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResult {
    /// Its task.
    pub task_id: TaskId,
    /// When it was written.
    pub written: SystemTime,
}

/// A part of a listing, up to a thousand entries ordered by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<String>,
}

/// What [`Archive::load`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// The body.
    Body(RawObject),
    /// An object of this many bytes, more than [`MAX_OBJECT_BYTES`]. It was not read.
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
    /// The object there comes from a body that outranks this one, or was asked for later.
    Outranked,
}

impl Archive {
    /// The bucket, over this client. The caller chooses the client's time-outs.
    pub fn new(s3: Client, bucket: String) -> Self {
        Self { s3, bucket }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Opens a connection to the bucket, by a call that changes nothing and says nothing of the objects.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn connect(&self) -> Result<(), CallError> {
        let asked = self.s3.get_bucket_location().bucket(&self.bucket).send().await;
        asked.map(drop).map_err(Into::into)
    }

    /// Stores a body as [`Arrival::object`], unless it is stored already. Returns this name too: it takes a hash of the body.
    ///
    /// # Errors
    /// If S3 did not confirm that the body is there.
    pub async fn store(&self, arrival: &Arrival) -> Result<(String, Stored), ArchiveError> {
        let object = arrival.object();
        let received_at = DateTime::from(arrival.received_at)
            .fmt(DateTimeFormat::DateTime)
            .unwrap_or_default();
        let mut attempt = 1;
        loop {
            let put = self
                .put(&object, arrival.body.clone(), "application/json")
                .if_none_match("*")
                .metadata(RECEIVED_AT, &received_at)
                .metadata(WEBHOOK_TIMESTAMP, arrival.webhook_timestamp.to_string())
                .metadata(SOURCE, arrival.origin.name());
            match conditional(put).await {
                Ok(_) => return Ok((object, Stored::New)),
                Err(Conflict::Changed(_)) => return Ok((object, Stored::AlreadyThere)),
                // Two writers raced. S3 may hold the other writer's object, or none.
                Err(Conflict::Raced(_)) if attempt < CONFLICT_ATTEMPTS => attempt += 1,
                Err(Conflict::Raced(error)) => {
                    return Err(self.failure("store", &object)(CallError::Raced(error.into())));
                }
                Err(Conflict::Failed(error)) => return Err(self.failure("store", &object)(error)),
            }
        }
    }

    /// Reads an archived body.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn load(&self, object: &str) -> Result<Loaded, ArchiveError> {
        let failed = self.failure("read", object);
        let mut attempt = 1;
        loop {
            let found = match self.s3.get_object().bucket(&self.bucket).key(object).send().await {
                Ok(found) => found,
                Err(SdkError::ServiceError(e)) if matches!(e.err(), GetObjectError::NoSuchKey(_)) => {
                    return Ok(Loaded::Gone);
                }
                Err(e) => return Err(failed(e.into())),
            };
            let bytes = found.content_length.and_then(|bytes| u64::try_from(bytes).ok());
            if let Some(bytes) = bytes.filter(|&bytes| bytes > MAX_OBJECT_BYTES) {
                return Ok(Loaded::TooLarge(bytes));
            }
            let metadata = |name: &str| found.metadata.as_ref()?.get(name);
            let sent = metadata(WEBHOOK_TIMESTAMP).and_then(|text| text.parse().ok());
            let asked_for = metadata(SOURCE).is_some_and(|source| source == POLL);
            let stored = || {
                found
                    .last_modified
                    .and_then(|time| u64::try_from(time.secs()).ok())
                    .unwrap_or(0)
            };
            let webhook_timestamp = sent.unwrap_or_else(stored);
            let etag = found.e_tag.unwrap_or_default();
            match found.body.collect().await {
                Ok(body) => {
                    return Ok(Loaded::Body(RawObject {
                        body: body.to_vec(),
                        webhook_timestamp,
                        asked_for,
                        etag,
                    }));
                }
                // The SDK tries a request again, but not a body that breaks off.
                Err(_) if attempt < BODY_ATTEMPTS => attempt += 1,
                Err(e) => return Err(failed(CallError::Unanswered(e.into()))),
            }
        }
    }

    /// Writes an object if it is still the version that the caller has seen; `None` if there was none. Returns the new
    /// version; `None` if another writer was faster.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn replace(
        &self,
        object: &str,
        bytes: Vec<u8>,
        seen: Option<&str>,
    ) -> Result<Option<String>, ArchiveError> {
        let put = self.put(object, bytes, "application/json");
        let put = match seen {
            None => put.if_none_match("*"),
            Some(etag) => put.if_match(etag),
        };
        match conditional(put).await {
            Ok(etag) => Ok(Some(etag)),
            Err(Conflict::Changed(_) | Conflict::Raced(_)) => Ok(None),
            Err(Conflict::Failed(error)) => Err(self.failure("write", object)(error)),
        }
    }

    /// Finds the bodies of a task, or of all tasks, that were stored within `when`, ordered by name. S3 cannot search
    /// by time, so this lists all bodies, a thousand in each request. After each request it calls `listed` with the
    /// number of bodies listed so far.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn bodies(
        &self,
        task_id: Option<&TaskId>,
        when: impl RangeBounds<SystemTime>,
        mut listed: impl FnMut(u64),
    ) -> Result<Vec<StoredBody>, ArchiveError> {
        let prefix = task_id.map_or_else(|| RAW.to_owned(), objects::raw_of);
        let list = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
        let mut pages = list.into_paginator().send();
        let (mut bodies, mut count) = (Vec::new(), 0);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| self.failure("list", &prefix)(e.into()))?;
            count += page.contents().len() as u64;
            listed(count);
            for object in page.contents() {
                let stored = object.last_modified().and_then(|time| SystemTime::try_from(*time).ok());
                if let (Some(name), Some(stored)) = (object.key(), stored)
                    && let Some(task_id) = objects::task_of_raw(name)
                    && when.contains(&stored)
                {
                    bodies.push(StoredBody {
                        task_id,
                        object: name.to_owned(),
                        stored,
                    });
                }
            }
        }
        Ok(bodies)
    }

    /// Looks at the published result of a task, without reading it; `None` if it has none.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn standing(&self, task_id: &TaskId) -> Result<Option<Standing>, ArchiveError> {
        let head = self.head(&document::object_name(task_id, format::DOCUMENT)).await?;
        Ok(head.map(|head| {
            let mut metadata = head.metadata.unwrap_or_default();
            Standing {
                state: metadata.remove(STATE),
                source: metadata.remove(SOURCE_OBJECT),
                written: head.last_modified.and_then(|time| SystemTime::try_from(time).ok()),
            }
        }))
    }

    /// Publishes one object of a result in `state`, unless the object that is there outranks it. If the caller has just
    /// seen that the task has no result (`is_first`), S3 is not asked what is there unless it refuses to write.
    ///
    /// # Errors
    /// If S3 did not answer or denied access, or if another renderer was faster in every attempt.
    pub async fn publish(
        &self,
        object: &str,
        bytes: &[u8],
        content_type: &str,
        state: State,
        rank: &Rank,
        is_first: bool,
    ) -> Result<Published, ArchiveError> {
        let failed = self.failure("publish", object);
        let sha256 = Digest::of(bytes).to_string();
        let mut attempt = 1;
        loop {
            let there = match is_first && attempt == 1 {
                true => None,
                false => self.published(object).await?,
            };
            let put = self
                .put(object, bytes.to_vec(), content_type)
                .metadata(STATE, state.name())
                .metadata(WEBHOOK_TIMESTAMP, rank.webhook_timestamp().to_string())
                .metadata(CONTENT_SHA256, &sha256);
            let put = match rank.object() {
                "" => put,
                object => put.metadata(SOURCE_OBJECT, object),
            };
            let put = match rank.when_asked() {
                0 => put,
                at => put.metadata(ASKED, at.to_string()),
            };
            let put = match there {
                None => put.if_none_match("*"),
                Some(there) if there.rank.stands_before(rank) => return Ok(Published::Outranked),
                Some(there) if there.rank == *rank && there.sha256 == sha256 => return Ok(Published::Unchanged),
                Some(there) => put.if_match(there.etag),
            };
            match conditional(put).await {
                Ok(_) => return Ok(Published::Written),
                Err(Conflict::Changed(_) | Conflict::Raced(_)) if attempt < CONFLICT_ATTEMPTS => attempt += 1,
                Err(Conflict::Changed(error) | Conflict::Raced(error)) => {
                    return Err(failed(CallError::Raced(error.into())));
                }
                Err(Conflict::Failed(error)) => return Err(failed(error)),
            }
        }
    }

    /// Removes an object of an earlier result that the result of `rank` does not have, unless it is of a result that
    /// outranks this one. The bucket keeps the removed version for a while.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn withdraw(&self, object: &str, rank: &Rank) -> Result<Published, ArchiveError> {
        let failed = self.failure("remove", object);
        let mut attempt = 1;
        loop {
            let there = match self.published(object).await? {
                None => return Ok(Published::Unchanged),
                Some(there) if there.rank.stands_before(rank) => return Ok(Published::Outranked),
                Some(there) => there,
            };
            let delete = self.s3.delete_object().bucket(&self.bucket).key(object);
            let error = match delete.if_match(there.etag).send().await {
                Ok(_) => return Ok(Published::Written),
                Err(error) => error,
            };
            match refused(error) {
                Conflict::Changed(_) | Conflict::Raced(_) if attempt < CONFLICT_ATTEMPTS => attempt += 1,
                Conflict::Changed(error) | Conflict::Raced(error) => {
                    return Err(failed(CallError::Raced(error.into())));
                }
                Conflict::Failed(error) => return Err(failed(error)),
            }
        }
    }

    /// Lists result documents, from the beginning or from where another page ended.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn results(&self, from: Option<String>) -> Result<Page<StoredResult>, ArchiveError> {
        let document = |object: &Object| {
            Some(StoredResult {
                task_id: objects::task_of_result(object.key()?)?,
                written: SystemTime::try_from(*object.last_modified()?).ok()?,
            })
        };
        // The delimiter leaves out what is in midi/<taskId>/.
        self.page(RESULTS, Some("/"), from, document).await
    }

    /// Lists watched tasks, those whose watch has ended included, from the beginning or from where another page ended.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn watched(&self, from: Option<String>) -> Result<Page<TaskId>, ArchiveError> {
        let task = |object: &Object| objects::task_of_watch(object.key()?);
        self.page(WATCH, None, from, task).await
    }

    /// A part of the listing of a prefix. `entry` reads an object; `None` leaves it out.
    async fn page<T>(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        from: Option<String>,
        entry: impl Fn(&Object) -> Option<T>,
    ) -> Result<Page<T>, ArchiveError> {
        let list = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let list = list.set_delimiter(delimiter.map(str::to_owned));
        let page = list.set_continuation_token(from).send().await;
        let page = page.map_err(|e| self.failure("list", prefix)(e.into()))?;
        Ok(Page {
            entries: page.contents().iter().filter_map(entry).collect(),
            next: page.next_continuation_token,
        })
    }

    /// A link with which anybody can read an object until it expires, without credentials.
    ///
    /// # Errors
    /// If there are no credentials to sign it with, or if it would be valid for too long: AWS allows 7 days.
    pub async fn link(&self, object: &str, expires: Duration) -> Result<String, ArchiveError> {
        let failed = self.failure("sign a link to", object);
        let expires = PresigningConfig::expires_in(expires).map_err(|e| failed(CallError::unsent(e)))?;
        let get = self.s3.get_object().bucket(&self.bucket).key(object);
        let link = get.presigned(expires).await.map_err(|e| failed(e.into()))?;
        Ok(link.uri().to_owned())
    }

    async fn published(&self, object: &str) -> Result<Option<PublishedObject>, ArchiveError> {
        Ok(self.head(object).await?.map(|head| {
            let metadata = head.metadata.unwrap_or_default();
            let text = |name: &str| metadata.get(name).cloned().unwrap_or_default();
            let number = |name: &str| text(name).parse().unwrap_or(0);
            let state = State::named(&text(STATE));
            PublishedObject {
                etag: head.e_tag.unwrap_or_default(),
                rank: Rank::new(state, number(WEBHOOK_TIMESTAMP), &text(SOURCE_OBJECT)).asked_at(number(ASKED)),
                sha256: text(CONTENT_SHA256),
            }
        }))
    }

    /// What S3 tells of an object of a result, without its contents; `None` if there is none.
    async fn head(&self, object: &str) -> Result<Option<HeadObjectOutput>, ArchiveError> {
        match self.s3.head_object().bucket(&self.bucket).key(object).send().await {
            Ok(head) => Ok(Some(head)),
            Err(SdkError::ServiceError(e)) if e.err().is_not_found() => Ok(None),
            Err(e) => Err(self.failure("look at", object)(e.into())),
        }
    }

    fn put(&self, object: &str, bytes: impl Into<ByteStream>, content_type: &str) -> PutObjectFluentBuilder {
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(object)
            .content_type(content_type)
            .body(bytes.into())
    }

    fn failure(&self, action: &'static str, object: &str) -> impl Fn(CallError) -> ArchiveError {
        move |source| ArchiveError {
            action,
            object: object.to_owned(),
            bucket: self.bucket.clone(),
            source,
        }
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
    Changed(CallError),
    /// 409: another write came between, and S3 may hold either object, or none. 404: the object that `If-Match` names
    /// was deleted.
    Raced(CallError),
    /// Anything else.
    Failed(CallError),
}

/// Sends a conditional put, and returns the ETag of what it wrote.
async fn conditional(put: PutObjectFluentBuilder) -> Result<String, Conflict> {
    match put.send().await {
        Ok(written) => Ok(written.e_tag.unwrap_or_default()),
        Err(error) => Err(refused(error)),
    }
}

/// Why a conditional call had no effect. The SDK has no types for the answers 412, 409 and 404, and does not retry them.
fn refused<E>(error: SdkError<E, HttpResponse>) -> Conflict
where
    SdkError<E, HttpResponse>: Into<CallError> + ProvideErrorMetadata,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match status {
        Some(412) => Conflict::Changed(error.into()),
        Some(409) => Conflict::Raced(error.into()),
        Some(404) if error.code() != Some("NoSuchBucket") => Conflict::Raced(error.into()),
        _ => Conflict::Failed(error.into()),
    }
}
