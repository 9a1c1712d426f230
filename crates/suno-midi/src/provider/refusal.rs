//! Why the provider did not answer as asked, and when to ask again.

use std::time::Duration;

use thiserror::Error;

use super::callback::NotACallback;
use crate::UnfitTaskId;

/// The provider counts new requests over 10 s.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// How long a maintenance, a full key or a block by the CDN lasts at least. The provider documents no times.
const UNKNOWN_WAIT: Duration = Duration::from_secs(60);

/// An answer that is neither a report nor a new task.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The API key is unknown, or may not do this (401, 403).
    #[error("the provider refused the API key{}", words(message))]
    KeyRefused {
        /// The provider's words, on one line.
        message: String,
    },
    /// The account has no credits left (402).
    #[error("the provider's account has no credits left")]
    NoCredits,
    /// Too many requests in 10 s, or too many tasks at once (429). The request was not queued.
    #[error("the provider takes no more requests for now")]
    RateLimited {
        /// What `Retry-After` asks for.
        wait: Option<Duration>,
    },
    /// The API key has used up its own limit (433).
    #[error("the API key has used up the limit that was set for it")]
    KeyLimit {
        /// What `Retry-After` asks for.
        wait: Option<Duration>,
    },
    /// The provider is being maintained (455).
    #[error("the provider is down for maintenance")]
    Maintenance {
        /// What `Retry-After` asks for.
        wait: Option<Duration>,
    },
    /// The provider will never accept this request (400, 404, 422 and others).
    #[error("the provider refused the request with code {code}{}", words(message))]
    WrongRequest {
        /// The provider's code.
        code: i64,
        /// The provider's words, on one line.
        message: String,
    },
    /// The network in front of the provider refused the request (HTTP 403 with text, such as `error code: 1010` for an
    /// unusual `User-Agent`).
    #[error("the network in front of the provider refused the request{}", words(message))]
    Blocked {
        /// Its words, on one line, if they are short text.
        message: String,
    },
    /// The provider failed (5xx), or had to wait too long for its own provider (408).
    #[error("the provider failed with code {code}{}", words(message))]
    ProviderFailed {
        /// The provider's code, or the HTTP status if there is none.
        code: i64,
        /// The provider's words, on one line.
        message: String,
        /// What `Retry-After` asks for.
        wait: Option<Duration>,
    },
    /// The answer cannot be understood.
    #[error("the provider's answer (HTTP {status}) cannot be understood")]
    Unreadable {
        /// The HTTP status.
        status: u16,
        /// Why.
        #[source]
        source: Illegible,
    },
}

/// Why an answer cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Illegible {
    /// Its JSON cannot be read. Perhaps a part of it is missing.
    #[error(transparent)]
    Body(#[from] NotACallback),
    /// Neither a code nor data.
    #[error("it has neither a code nor data")]
    Empty,
    /// A code that the provider does not document.
    #[error("its code {0} is unknown")]
    Code(i64),
    /// It is about another product of the provider.
    #[error("it is not about a MIDI task")]
    OtherProduct,
    /// It is about another task.
    #[error("it is about another task")]
    OtherTask,
    /// It names no new task, or several.
    #[error("it does not name one task")]
    NoTask,
    /// It names a task that we could not store.
    #[error(transparent)]
    UnfitTask(#[from] UnfitTaskId),
}

fn words(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

impl Refusal {
    /// How long to wait at least before the same request may succeed although nobody changes anything; `None` if it
    /// will not. A request that starts a task must not be repeated if the task [may have been
    /// started](Self::may_have_started).
    pub fn ask_again_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { wait } => Some(wait.unwrap_or(RATE_WINDOW)),
            Self::KeyLimit { wait } | Self::Maintenance { wait } => Some(wait.unwrap_or(UNKNOWN_WAIT)),
            // The block may be for an address, and the next request may come from another one.
            Self::Blocked { .. } => Some(UNKNOWN_WAIT),
            Self::ProviderFailed { wait, .. } => Some(wait.unwrap_or_default()),
            Self::Unreadable {
                source: Illegible::Body(NotACallback::NotJson(_)),
                ..
            } => Some(Duration::ZERO),
            Self::KeyRefused { .. } | Self::NoCredits | Self::WrongRequest { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// Whether a request that starts a task may have started it nevertheless, and the provider may charge for it.
    pub fn may_have_started(&self) -> bool {
        match self {
            Self::ProviderFailed { .. } | Self::Unreadable { .. } => true,
            Self::KeyRefused { .. }
            | Self::NoCredits
            | Self::RateLimited { .. }
            | Self::KeyLimit { .. }
            | Self::Maintenance { .. }
            | Self::WrongRequest { .. }
            | Self::Blocked { .. } => false,
        }
    }
}
