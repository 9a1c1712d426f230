//! The keys of a secret in Secrets Manager: those that verify callbacks, or those that sign pushes.
//!
//! Both `AWSCURRENT` and `AWSPREVIOUS` are used, so that a key can be rotated while callbacks signed with the old
//! one are on their way. We keep the keys for [`REREAD_AFTER`]. When a signature fails we re-read them at once, so that
//! the first callback with a rotated key is accepted. We do so at most every [`FORCED_REREAD_AFTER`], so that a
//! stranger cannot make us call Secrets Manager without end.
//!
//! Ages use wall-clock time: a monotonic clock may stop while Lambda has frozen the process.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_secretsmanager::{Client, error::SdkError};
use thiserror::Error;
use tokio::{sync::Mutex, time::Instant};

use super::{Error, error::in_one_line};
use crate::time::is_within;

/// How long we use keys before we re-read them.
pub const REREAD_AFTER: Duration = Duration::from_secs(300);
/// The shortest time between two readings that are caused by wrong signatures.
pub const FORCED_REREAD_AFTER: Duration = Duration::from_secs(10);
/// How long we wait after a failed reading before we read again. Meanwhile callbacks that need the keys get a 503 at
/// once, and a stranger cannot keep an overloaded Secrets Manager busy.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long we use keys while Secrets Manager does not answer. A stolen key that was rotated out must not work for as
/// long as an outage lasts.
pub const KEEP_AT_MOST: Duration = Duration::from_secs(3600);

/// The keys of one secret.
#[derive(Debug)]
pub struct KeyRing<K> {
    secrets: Client,
    secret_id: String,
    parse: fn(&str) -> Option<K>,
    memory: Mutex<Memory<K>>,
}

#[derive(Debug)]
struct Memory<K> {
    keys: Arc<[K]>,
    read_at: Option<SystemTime>,
    forced_at: Option<SystemTime>,
    /// When the last reading failed, and whether trying again may help.
    failed: Option<(SystemTime, bool)>,
}

/// Why the signing keys are not known.
#[derive(Debug, Error)]
pub enum KeysError {
    /// Secrets Manager failed.
    #[error(transparent)]
    Failed(#[from] Error),
    /// The last reading failed less than [`ASK_AGAIN_AFTER`] ago; its error was logged then.
    #[error("Secrets Manager failed a moment ago")]
    FailedJustNow {
        /// Whether trying again may help.
        transient: bool,
    },
}

impl KeysError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_transient(),
            Self::FailedJustNow { transient } => *transient,
        }
    }
}

impl<K> KeyRing<K> {
    /// The keys of a secret; `parse` makes a key of its text. This does not read them yet.
    pub fn new(secrets: Client, secret_id: String, parse: fn(&str) -> Option<K>) -> Self {
        Self {
            secrets,
            secret_id,
            parse,
            memory: Mutex::new(Memory {
                keys: Arc::default(),
                read_at: None,
                forced_at: None,
                failed: None,
            }),
        }
    }

    /// The keys; none if the secret is missing, or what it holds is no key.
    ///
    /// # Errors
    /// If the keys cannot be read now, and were not read within the last [`KEEP_AT_MOST`] either.
    pub async fn keys(&self, now: SystemTime) -> Result<Arc<[K]>, KeysError> {
        let mut memory = self.memory.lock().await;
        if is_within(REREAD_AFTER, memory.read_at, now) {
            return Ok(memory.keys.clone());
        }
        match self.learn(&mut memory, now).await {
            Ok(()) => {}
            Err(error) if is_within(KEEP_AT_MOST, memory.read_at, now) => {
                tracing::warn!(error = in_one_line(&error), "still using the keys read before")
            }
            Err(error) => return Err(error),
        }
        Ok(memory.keys.clone())
    }

    /// Reads the keys before they are needed. A failure is forgotten: the first callback asks for itself.
    ///
    /// # Errors
    /// If they cannot be read now.
    pub async fn prepare(&self, now: SystemTime) -> Result<(), KeysError> {
        let mut memory = self.memory.lock().await;
        let learned = self.learn(&mut memory, now).await;
        memory.failed = None;
        learned
    }

    /// Reads the keys again, because a signature failed with those of [`KeyRing::keys`]; `None` if the last such
    /// reading was less than [`FORCED_REREAD_AFTER`] ago.
    ///
    /// # Errors
    /// If they cannot be read now.
    pub async fn reread(&self, now: SystemTime) -> Result<Option<Arc<[K]>>, KeysError> {
        let mut memory = self.memory.lock().await;
        // We re-read even if the keys were read for this very request: a rotation between the readings of the two
        // stages may have hidden the old key.
        if is_within(FORCED_REREAD_AFTER, memory.forced_at, now) {
            return Ok(None);
        }
        self.learn(&mut memory, now).await?;
        // Only after success: otherwise the next callback would count as forged because a reading failed.
        memory.forced_at = Some(now);
        Ok(Some(memory.keys.clone()))
    }

    async fn learn(&self, memory: &mut Memory<K>, now: SystemTime) -> Result<(), KeysError> {
        if let Some((at, transient)) = memory.failed
            && is_within(ASK_AGAIN_AFTER, Some(at), now)
        {
            return Err(KeysError::FailedJustNow { transient });
        }
        let began = Instant::now();
        match self.read().await {
            Ok(keys) => {
                *memory = Memory {
                    keys,
                    read_at: Some(now),
                    failed: None,
                    ..*memory
                };
                Ok(())
            }
            Err(error) => {
                memory.failed = Some((now + began.elapsed(), error.is_transient()));
                Err(error)
            }
        }
    }

    async fn read(&self) -> Result<Arc<[K]>, KeysError> {
        let (current, previous) = tokio::try_join!(self.stage("AWSCURRENT"), self.stage("AWSPREVIOUS"))?;
        Ok(current.into_iter().chain(previous).collect())
    }

    /// The key at a stage; `None` if there is none. If one stage cannot be read, the whole reading fails: treating it
    /// as "no previous key" would refuse genuine callbacks during a rotation.
    async fn stage(&self, stage: &'static str) -> Result<Option<K>, KeysError> {
        match self
            .secrets
            .get_secret_value()
            .secret_id(&self.secret_id)
            .version_stage(stage)
            .send()
            .await
        {
            Ok(secret) => Ok(secret.secret_string().and_then(self.parse)),
            Err(SdkError::ServiceError(e)) if e.err().is_resource_not_found_exception() => Ok(None),
            Err(error) => {
                let operation = format!("return the {stage} signing key");
                Err(Error::new("Secrets Manager", operation, error).into())
            }
        }
    }
}
