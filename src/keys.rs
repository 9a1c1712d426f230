//! The keys that sign callbacks, as Secrets Manager has them.
//!
//! Both `AWSCURRENT` and `AWSPREVIOUS` are accepted, so that a key can be rotated while callbacks
//! signed with the old one are on their way. What was read is kept for [`REREAD_AFTER`], and read
//! again at once when a signature fails, at most every [`FORCED_REREAD_AFTER`]: a rotation is seen
//! by the first callback that needs it, and a stranger cannot make us ask without end.

use std::{sync::Arc, time::Duration};

use aws_sdk_secretsmanager::{Client, error::SdkError};
use thiserror::Error;
use tokio::{sync::Mutex, time::Instant};

use crate::{aws, provider::signature::Key};

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
    read_at: Option<Instant>,
    forced_at: Option<Instant>,
    failed_at: Option<Instant>,
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
    pub async fn keys(&self) -> Result<Arc<[Key]>, KeysUnavailable> {
        let mut memory = self.memory.lock().await;
        let age = memory.read_at.map(|read_at| read_at.elapsed());
        if age.is_some_and(|age| age < REREAD_AFTER) {
            return Ok(memory.keys.clone());
        }
        match self.learn(&mut memory).await {
            Ok(()) => {}
            Err(error) if age.is_some_and(|age| age < KEEP_AT_MOST) => {
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
    pub async fn reread(&self) -> Result<Option<Arc<[Key]>>, KeysUnavailable> {
        let mut memory = self.memory.lock().await;
        if memory
            .forced_at
            .is_some_and(|forced_at| forced_at.elapsed() < FORCED_REREAD_AFTER)
        {
            return Ok(None);
        }
        self.learn(&mut memory).await?;
        // Not before: after a reading that failed, the next callback must not be taken for a forged one.
        memory.forced_at = Some(Instant::now());
        Ok(Some(memory.keys.clone()))
    }

    async fn learn(&self, memory: &mut Memory) -> Result<(), KeysUnavailable> {
        if memory
            .failed_at
            .is_some_and(|failed_at| failed_at.elapsed() < ASK_AGAIN_AFTER)
        {
            return Err(KeysUnavailable {
                stage: "AWSCURRENT",
                reason: "it failed a moment ago".to_owned(),
            });
        }
        match self.read().await {
            Ok(keys) => {
                *memory = Memory {
                    keys,
                    read_at: Some(Instant::now()),
                    failed_at: None,
                    ..*memory
                };
                Ok(())
            }
            Err(error) => {
                memory.failed_at = Some(Instant::now());
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
                reason: aws::reason(&e),
            }),
        }
    }
}
