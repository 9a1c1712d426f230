//! The bucket: S3 by conditional writes, so that two writers cannot undo each other's work.
//!
//! [`keys`] names the objects. [`bodies`] keeps what arrived, [`results`] publishes what was made of it, and [`watches`]
//! has the tasks that are watched.

pub mod bodies;
pub mod keys;
pub mod precedence;
pub mod results;
pub mod watches;

use std::{collections::HashMap, time::Duration};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_object::GetObjectError, put_object::builders::PutObjectFluentBuilder},
    presigning::PresigningConfig,
    primitives::ByteStream,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::aws::{Error, Reason};

/// The largest object that we read, in bytes. No callback is that large.
pub const MAX_OBJECT_BYTES: u64 = 32 * 1024 * 1024;

/// How many times we try a write that conflicts with other writes. After that the caller must retry.
const CONFLICT_ATTEMPTS: u32 = 5;

/// How many times we read an object whose body breaks off, or stalls for the SDK's five seconds.
const BODY_ATTEMPTS: u32 = 3;

/// The bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    s3: Client,
    name: String,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its version, for [`Bucket::replace`].
    pub etag: String,
    metadata: HashMap<String, String>,
    /// When it was written, in Unix seconds.
    written: u64,
}

/// What [`Bucket::load`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// The object.
    Found(StoredObject),
    /// An object of this many bytes, more than [`MAX_OBJECT_BYTES`]. It was not read.
    TooLarge(u64),
    /// There is no such object.
    Missing,
}

/// A part of a listing, up to a thousand entries ordered by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<String>,
}

impl Bucket {
    /// The bucket, over this client. The caller chooses the client's time-outs.
    pub fn new(s3: Client, name: String) -> Self {
        Self { s3, name }
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a connection to S3, by a call that changes nothing and reveals nothing about the objects.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn connect(&self) -> Result<(), Reason> {
        let asked = self.s3.get_bucket_location().bucket(&self.name).send().await;
        asked.map(drop).map_err(Into::into)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn load(&self, key: &str) -> Result<Loaded, Error> {
        let mut attempt = 1;
        loop {
            let found = match self.s3.get_object().bucket(&self.name).key(key).send().await {
                Ok(found) => found,
                Err(SdkError::ServiceError(e)) if matches!(e.err(), GetObjectError::NoSuchKey(_)) => {
                    return Ok(Loaded::Missing);
                }
                Err(error) => return Err(self.error("read", key, error)),
            };
            let bytes = found.content_length.and_then(|bytes| u64::try_from(bytes).ok());
            if let Some(bytes) = bytes.filter(|&bytes| bytes > MAX_OBJECT_BYTES) {
                return Ok(Loaded::TooLarge(bytes));
            }
            let written = found.last_modified.and_then(|time| u64::try_from(time.secs()).ok());
            match found.body.collect().await {
                Ok(body) => {
                    return Ok(Loaded::Found(StoredObject {
                        bytes: body.to_vec(),
                        etag: found.e_tag.unwrap_or_default(),
                        metadata: found.metadata.unwrap_or_default(),
                        written: written.unwrap_or(0),
                    }));
                }
                // The SDK tries a request again, but not a body that breaks off.
                Err(_) if attempt < BODY_ATTEMPTS => attempt += 1,
                Err(error) => return Err(self.error("read", key, Reason::Unanswered(error.into()))),
            }
        }
    }

    /// Writes an object if it is still the version that the caller has seen; `None` if there was none. Returns the new
    /// version; `None` if another writer was faster.
    ///
    /// # Errors
    /// If S3 did not answer, or denied access.
    pub async fn replace(&self, key: &str, bytes: Vec<u8>, seen: Option<&str>) -> Result<Option<String>, Error> {
        let put = self.put(key, bytes, "application/json");
        let put = match seen {
            None => put.if_none_match("*"),
            Some(etag) => put.if_match(etag),
        };
        match conditional(put).await {
            Ok(etag) => Ok(Some(etag)),
            Err(Conflict::Changed(_) | Conflict::Raced(_)) => Ok(None),
            Err(Conflict::Failed(reason)) => Err(self.error("write", key, reason)),
        }
    }

    /// A link with which anybody can read an object until it expires, without credentials.
    ///
    /// # Errors
    /// If there are no credentials to sign it with, or if it would be valid for too long: AWS allows 7 days.
    pub async fn link(&self, key: &str, expires: Duration) -> Result<String, Error> {
        let failed = |reason| self.error("sign a link to", key, reason);
        let expires = PresigningConfig::expires_in(expires).map_err(|error| failed(Reason::Build(error.into())))?;
        let get = self.s3.get_object().bucket(&self.name).key(key);
        let link = get.presigned(expires).await.map_err(|error| failed(error.into()))?;
        Ok(link.uri().to_owned())
    }

    /// A part of the listing of a prefix. `entry` reads an object; `None` leaves it out.
    async fn page<T>(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        from: Option<String>,
        entry: impl Fn(&aws_sdk_s3::types::Object) -> Option<T>,
    ) -> Result<Page<T>, Error> {
        let list = self.s3.list_objects_v2().bucket(&self.name).prefix(prefix);
        let list = list.set_delimiter(delimiter.map(str::to_owned));
        let page = list.set_continuation_token(from).send().await;
        let page = page.map_err(|error| self.error("list", prefix, error))?;
        Ok(Page {
            entries: page.contents().iter().filter_map(entry).collect(),
            next: page.next_continuation_token,
        })
    }

    fn put(&self, key: &str, bytes: impl Into<ByteStream>, content_type: &str) -> PutObjectFluentBuilder {
        let put = self.s3.put_object().bucket(&self.name).key(key);
        put.content_type(content_type).body(bytes.into())
    }

    fn error(&self, verb: &str, key: &str, reason: impl Into<Reason>) -> Error {
        Error::new("S3", format!("{verb} {key} in the bucket {}", self.name), reason)
    }
}

/// Why a conditional call had no effect.
enum Conflict {
    /// 412: the condition does not hold.
    Changed(Reason),
    /// 409: another write came between, and S3 may hold either object, or none. 404: the object that `If-Match` names
    /// was deleted.
    Raced(Reason),
    /// Anything else.
    Failed(Reason),
}

impl Conflict {
    /// Whether to try again after this many tries.
    ///
    /// # Errors
    /// If not: why.
    fn try_again(self, tries: u32) -> Result<(), Reason> {
        match self {
            Self::Changed(_) | Self::Raced(_) if tries < CONFLICT_ATTEMPTS => Ok(()),
            Self::Changed(reason) | Self::Raced(reason) => Err(Reason::Conflict(reason.into())),
            Self::Failed(reason) => Err(reason),
        }
    }
}

/// Sends a conditional put, and returns the ETag of what it wrote.
async fn conditional(put: PutObjectFluentBuilder) -> Result<String, Conflict> {
    match put.send().await {
        Ok(written) => Ok(written.e_tag.unwrap_or_default()),
        Err(error) => Err(error.into()),
    }
}

/// The SDK has no types for the answers 412, 409 and 404, and does not retry them.
impl<E> From<SdkError<E, HttpResponse>> for Conflict
where
    SdkError<E, HttpResponse>: Into<Reason> + ProvideErrorMetadata,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        match status {
            Some(412) => Self::Changed(error.into()),
            Some(409) => Self::Raced(error.into()),
            Some(404) if error.code() != Some("NoSuchBucket") => Self::Raced(error.into()),
            _ => Self::Failed(error.into()),
        }
    }
}
