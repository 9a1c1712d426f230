//! The account at the provider: its API key, and the client that uses it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_secretsmanager::Client;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use thiserror::Error;
use tokio::sync::Mutex;

use super::{ApiKey, ApiUrl, Provider};
use crate::{aws, time::is_within};

/// How long we use an API key before we read it again.
pub const REREAD_AFTER: Duration = Duration::from_secs(300);

/// How long we wait for an answer of the provider. Nothing waits for ours.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where the account's API key is kept, and where the API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// The secret with the API key, as an ARN or a name.
    pub key_secret_id: String,
    /// The base URL of the API.
    pub url: ApiUrl,
}

/// The account.
#[derive(Debug)]
pub struct Account {
    secrets: Client,
    http: SharedHttpConnector,
    settings: AccountSettings,
    memory: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    provider: Option<(SystemTime, Arc<Provider>)>,
    suspended_until: Option<SystemTime>,
}

/// Why the provider cannot be polled.
#[derive(Debug, Error)]
pub enum AccountError {
    /// Secrets Manager failed.
    #[error(transparent)]
    Failed(#[from] aws::Error),
    /// What the secret holds is no API key.
    #[error("the secret {0} holds no API key")]
    NoKey(String),
}

impl AccountError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_transient(),
            Self::NoKey(_) => false,
        }
    }
}

impl Account {
    /// The account with these settings, over these connections. This does not read the key yet.
    pub fn new(secrets: Client, http: SharedHttpConnector, settings: AccountSettings) -> Self {
        Self {
            secrets,
            http,
            settings,
            memory: Mutex::default(),
        }
    }

    /// The provider, as this account uses it.
    ///
    /// # Errors
    /// If the API key cannot be read.
    pub async fn provider(&self, now: SystemTime) -> Result<Arc<Provider>, AccountError> {
        let mut memory = self.memory.lock().await;
        if let Some((read_at, provider)) = &memory.provider
            && is_within(REREAD_AFTER, Some(*read_at), now)
        {
            return Ok(provider.clone());
        }
        let get = self.secrets.get_secret_value().secret_id(&self.settings.key_secret_id);
        let secret = get.version_stage("AWSCURRENT").send().await;
        let secret =
            secret.map_err(|error| aws::Error::new("Secrets Manager", "return the provider's API key", error))?;
        let key = secret.secret_string().and_then(ApiKey::new);
        let key = key.ok_or_else(|| AccountError::NoKey(self.settings.key_secret_id.clone()))?;
        let provider = Arc::new(Provider::new(
            self.http.clone(),
            self.settings.url.clone(),
            key,
            TIMEOUT,
        ));
        memory.provider = Some((now, provider.clone()));
        Ok(provider)
    }

    /// Reads the key again before the next poll: the provider refused it, so it may have been changed.
    pub async fn forget_key(&self) {
        self.memory.lock().await.provider = None;
    }

    /// Suspends all polling until this time.
    pub async fn suspend_until(&self, time: SystemTime) {
        self.memory.lock().await.suspended_until = Some(time);
    }

    /// How long all polling is suspended.
    pub async fn suspended_for(&self, now: SystemTime) -> Duration {
        let until = self.memory.lock().await.suspended_until;
        until
            .and_then(|until| until.duration_since(now).ok())
            .unwrap_or_default()
    }
}
