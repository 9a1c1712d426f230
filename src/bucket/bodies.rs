//! The bodies that arrived, byte for byte: put once, never changed.

use std::{ops::RangeBounds, time::SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use suno_midi::TaskId;

use super::{Bucket, Conflict, StoredObject, conditional, keys};
use crate::aws::Error;

const RECEIVED_AT: &str = "received-at";
/// The metadata with the time at which the provider sent a body; of a result, that of its body.
pub(super) const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const SOURCE: &str = "source";
const POLL: &str = "poll";

/// Where a body came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodySource {
    /// The provider called back.
    Callback,
    /// We polled the provider (record-info).
    Poll,
}

/// A body to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBody {
    /// The task that the body is about.
    pub task_id: TaskId,
    /// The body, byte for byte.
    pub bytes: Bytes,
    /// Where it came from.
    pub source: BodySource,
    /// When the provider sent the body, in Unix seconds.
    pub webhook_timestamp: u64,
    /// When we received the body.
    pub received_at: SystemTime,
}

/// What [`Bucket::store`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The body is new.
    New,
    /// The same bytes of this task were there already.
    AlreadyThere,
}

/// A body in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBody {
    /// The task that it is about.
    pub task_id: TaskId,
    /// Its object key.
    pub object_key: String,
    /// When it was stored.
    pub stored: SystemTime,
}

impl StoredObject {
    /// When the provider sent this body, in Unix seconds; if that is not recorded, when it was stored.
    pub fn webhook_timestamp(&self) -> u64 {
        let sent = self.metadata.get(WEBHOOK_TIMESTAMP);
        sent.and_then(|text| text.parse().ok()).unwrap_or(self.written)
    }

    /// Whether we polled the provider for this body.
    pub fn is_polled(&self) -> bool {
        self.metadata.get(SOURCE).is_some_and(|source| source == POLL)
    }
}

impl Bucket {
    /// Stores a body under [`keys::body`], unless it is stored already. Returns this key too: it takes a hash of the body.
    ///
    /// # Errors
    /// If S3 did not confirm that the body is there.
    pub async fn store(&self, body: &NewBody) -> Result<(String, Stored), Error> {
        let key = keys::body(&body.task_id, &body.bytes);
        let received_at = DateTime::from(body.received_at).fmt(DateTimeFormat::DateTime);
        let received_at = received_at.unwrap_or_default();
        let source = match body.source {
            BodySource::Callback => "callback",
            BodySource::Poll => POLL,
        };
        for attempt in 1.. {
            let put = self
                .put(&key, body.bytes.clone(), "application/json")
                .if_none_match("*")
                .metadata(RECEIVED_AT, &received_at)
                .metadata(WEBHOOK_TIMESTAMP, body.webhook_timestamp.to_string())
                .metadata(SOURCE, source);
            match conditional(put).await {
                Ok(_) => return Ok((key, Stored::New)),
                Err(Conflict::Changed(_)) => break,
                // Two writers raced. S3 may hold the other writer's object, or none.
                Err(conflict) => {
                    let settled = conflict.try_again(attempt);
                    settled.map_err(|reason| self.error("store", &key, reason))?;
                }
            }
        }
        Ok((key, Stored::AlreadyThere))
    }

    /// Finds the bodies of a task, or of all tasks, that were stored within `when`, ordered by key. S3 cannot search
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
    ) -> Result<Vec<StoredBody>, Error> {
        let prefix = task_id.map_or_else(|| keys::BODIES.to_owned(), keys::bodies_of);
        let list = self.s3.list_objects_v2().bucket(&self.name).prefix(&prefix);
        let mut pages = list.into_paginator().send();
        let (mut bodies, mut count) = (Vec::new(), 0);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error("list", &prefix, error))?;
            count += page.contents().len() as u64;
            listed(count);
            for object in page.contents() {
                let stored = object.last_modified().and_then(|time| SystemTime::try_from(*time).ok());
                if let (Some(key), Some(stored)) = (object.key(), stored)
                    && let Some(task_id) = keys::task_of_body(key)
                    && when.contains(&stored)
                {
                    bodies.push(StoredBody {
                        task_id,
                        object_key: key.to_owned(),
                        stored,
                    });
                }
            }
        }
        Ok(bodies)
    }
}
