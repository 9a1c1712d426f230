//! The account at the provider: its API key in Secrets Manager, and the client that uses it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_secretsmanager::Client;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::{
    call_error::CallError,
    clock::is_within,
    provider::{ApiKey, ApiUrl, Provider},
};

/// How long we use an API key before we read it again.
pub const REREAD_AFTER: Duration = Duration::from_secs(300);

/// How long we wait for an answer of the provider. Nobody waits for ours.
const PATIENCE: Duration = Duration::from_secs(20);

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
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    provider: Option<(SystemTime, Arc<Provider>)>,
    quiet_until: Option<SystemTime>,
}

/// Why the provider cannot be asked.
#[derive(Debug, Error)]
pub enum AccountError {
    /// Secrets Manager failed.
    #[error("Secrets Manager could not return the provider's API key")]
    Failed(#[source] CallError),
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
    /// The account with these settings, asked over these connections. This does not read the key yet.
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
        let secret = secret.map_err(|error| AccountError::Failed(error.into()))?;
        let key = secret.secret_string().and_then(ApiKey::new);
        let key = key.ok_or_else(|| AccountError::NoKey(self.settings.key_secret_id.clone()))?;
        let provider = Arc::new(Provider::new(
            self.http.clone(),
            self.settings.url.clone(),
            key,
            PATIENCE,
        ));
        memory.provider = Some((now, provider.clone()));
        Ok(provider)
    }

    /// Reads the key again before the next question: the provider refused it, so it may have been changed.
    pub async fn forget_key(&self) {
        self.memory.lock().await.provider = None;
    }

    /// Asks nothing about any task until then.
    pub async fn keep_quiet_until(&self, time: SystemTime) {
        self.memory.lock().await.quiet_until = Some(time);
    }

    /// How long nothing may be asked about any task.
    pub async fn is_quiet_for(&self, now: SystemTime) -> Duration {
        let until = self.memory.lock().await.quiet_until;
        until
            .and_then(|until| until.duration_since(now).ok())
            .unwrap_or_default()
    }
}
