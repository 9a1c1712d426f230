//! The keys that sign callbacks, as Secrets Manager has them.
//!
//! Both `AWSCURRENT` and `AWSPREVIOUS` are accepted, so that a key can be rotated while callbacks
//! signed with the old one are on their way. What was read is kept for [`REREAD_AFTER`], and read
//! again at once when a signature fails, at most every [`FORCED_REREAD_AFTER`]: a rotation is seen
//! by the first callback that needs it, and a stranger cannot make us ask without end.
//!
//! Ages are told by the clock of the wall, `now`: the other one stands still while Lambda has the
//! process frozen, and keys read before a night of silence would be young in the morning.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_secretsmanager::{Client, error::SdkError};
use thiserror::Error;
use tokio::{sync::Mutex, time::Instant};

use suno_midi::provider::signature::Key;

use crate::clients;

/// How long keys are used before they are read again.
pub const REREAD_AFTER: Duration = Duration::from_secs(300);
/// How often a wrong signature may cause another reading.
pub const FORCED_REREAD_AFTER: Duration = Duration::from_secs(10);
/// For how long nothing is asked after a reading that failed: callbacks that need the answer have a
/// 503 at once, and a stranger cannot keep an ailing Secrets Manager busy.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long keys are used while Secrets Manager does not answer: a stolen key that was rotated out
/// must not live on for as long as an outage lasts.
pub const KEEP_AT_MOST: Duration = Duration::from_secs(3600);

/// The keys of one secret.
#[derive(Debug)]
pub struct KeyRing {
    secrets: Client,
    secret_id: String,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    keys: Arc<[Key]>,
    read_at: Option<SystemTime>,
    forced_at: Option<SystemTime>,
    failed_at: Option<SystemTime>,
}

/// Secrets Manager did not say what the key is. Worth another try.
#[derive(Debug, Error)]
#[error("Secrets Manager could not read the {stage} key: {reason}")]
pub struct KeysUnavailable {
    stage: &'static str,
    reason: String,
}

impl KeyRing {
    /// The keys in a secret, over a client whose time-outs are the caller's. Nothing is read yet.
    pub fn new(secrets: Client, secret_id: String) -> Self {
        Self {
            secrets,
            secret_id,
            memory: Mutex::default(),
        }
    }

    /// The keys; none if the secret is missing or empty.
    ///
    /// # Errors
    /// If they were never read, or not for [`KEEP_AT_MOST`], and cannot be read now.
    pub async fn keys(&self, now: SystemTime) -> Result<Arc<[Key]>, KeysUnavailable> {
        let mut memory = self.memory.lock().await;
        if is_within(REREAD_AFTER, memory.read_at, now) {
            return Ok(memory.keys.clone());
        }
        match self.learn(&mut memory, now).await {
            Ok(()) => {}
            Err(error) if is_within(KEEP_AT_MOST, memory.read_at, now) => {
                tracing::warn!(%error, "still using the keys read before")
            }
            Err(error) => return Err(error),
        }
        Ok(memory.keys.clone())
    }

    /// The keys read anew, because a signature failed with those of [`KeyRing::keys`]; `None` if
    /// that was done a moment ago.
    ///
    /// # Errors
    /// If they cannot be read now.
    pub async fn reread(&self, now: SystemTime) -> Result<Option<Arc<[Key]>>, KeysUnavailable> {
        let mut memory = self.memory.lock().await;
        // Also if those were read for this very request: a rotation between the two stages may have hidden
        // the old key from the one reading.
        if is_within(FORCED_REREAD_AFTER, memory.forced_at, now) {
            return Ok(None);
        }
        self.learn(&mut memory, now).await?;
        // Not before: after a reading that failed, the next callback must not be taken for a forged one.
        memory.forced_at = Some(now);
        Ok(Some(memory.keys.clone()))
    }

    async fn learn(&self, memory: &mut Memory, now: SystemTime) -> Result<(), KeysUnavailable> {
        if is_within(ASK_AGAIN_AFTER, memory.failed_at, now) {
            return Err(KeysUnavailable {
                stage: "AWSCURRENT",
                reason: "it failed a moment ago".to_owned(),
            });
        }
        let began = Instant::now();
        match self.read().await {
            Ok(keys) => {
                *memory = Memory {
                    keys,
                    read_at: Some(now),
                    failed_at: None,
                    ..*memory
                };
                Ok(())
            }
            Err(error) => {
                memory.failed_at = Some(now + began.elapsed());
                Err(error)
            }
        }
    }

    async fn read(&self) -> Result<Arc<[Key]>, KeysUnavailable> {
        let (current, previous) = tokio::try_join!(self.stage("AWSCURRENT"), self.stage("AWSPREVIOUS"))?;
        Ok(current.into_iter().chain(previous).collect())
    }

    /// The key at a stage, `None` if there is none. If either stage cannot be read nothing is
    /// learnt: to take a silence for "no previous key" would refuse callbacks in the middle of a
    /// rotation.
    async fn stage(&self, stage: &'static str) -> Result<Option<Key>, KeysUnavailable> {
        match self
            .secrets
            .get_secret_value()
            .secret_id(&self.secret_id)
            .version_stage(stage)
            .send()
            .await
        {
            Ok(secret) => Ok(secret.secret_string().and_then(Key::new)),
            Err(SdkError::ServiceError(e)) if e.err().is_resource_not_found_exception() => Ok(None),
            Err(e) => Err(KeysUnavailable {
                stage,
                reason: clients::reason(&e),
            }),
        }
    }
}

/// Whether less than `span` has passed since a moment. Not if the clock was set back: better to ask once more.
fn is_within(span: Duration, moment: Option<SystemTime>, now: SystemTime) -> bool {
    let age = moment.and_then(|moment| now.duration_since(moment).ok());
    age.is_some_and(|age| age < span)
}
