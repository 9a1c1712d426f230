//! The provider's signature, which proves who sent a request.
//!
//! From the provider's page "Webhook Security Verification": the header `X-Webhook-Signature` is
//! `base64(HMAC-SHA256(webhookHmacKey, taskId + "." + timestamp))`, where `timestamp` is the text of the header
//! `X-Webhook-Timestamp`: the Unix seconds at which the request was sent. The body is not signed. The bytes of the key
//! are the characters of the `webhookHmacKey`; it is not base64-decoded.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

/// The header with the time of sending, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "x-webhook-timestamp";
/// The header with the signature, in standard base64 with padding.
pub const SIGNATURE_HEADER: &str = "x-webhook-signature";

/// How many digits the largest `u64` has.
const MAX_TIMESTAMP_DIGITS: usize = 20;

/// The secret shared with the provider, called `webhookHmacKey` in its settings. `Debug` hides it.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The key from its text, without the white space around it; `None` if nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        Hmac::new_from_slice(text.as_bytes()).ok().map(Self)
    }

    fn mac(&self, task_id: &str, timestamp: &str) -> Hmac<Sha256> {
        self.0
            .clone()
            .chain_update(task_id)
            .chain_update(".")
            .chain_update(timestamp)
    }

    /// Signs a task id and the text of a timestamp as the provider does.
    ///
    /// ```
    /// use suno_midi::provider::signature::SigningKey;
    ///
    /// let key = SigningKey::new("secret").unwrap();
    /// assert_eq!(key.sign("abc123", "1700000000"), "Mp9xoGiB1TXNsdh3ZCkP1qFS5dnc7j11ljm0xy1j9UE=");
    /// ```
    pub fn sign(&self, task_id: &str, timestamp: &str) -> String {
        STANDARD.encode(self.mac(task_id, timestamp).finalize().into_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The content of the two headers: well-formed and recent, but not verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    timestamp: String,
    seconds: u64,
    signature: Vec<u8>,
}

impl Claim {
    /// Reads the texts of the two headers. The timestamp may be at most `tolerance` from `now`, the time since the Unix
    /// epoch (UTC), either way.
    ///
    /// # Errors
    /// [`Rejection`] if a header is missing or malformed, or if the timestamp is outside the window.
    pub fn read(
        timestamp: Option<&str>,
        signature: Option<&str>,
        now: Duration,
        tolerance: Duration,
    ) -> Result<Self, Rejection> {
        let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
            return Err(Rejection::MissingHeader);
        };
        // `u64::from_str` accepts a leading `+` and any number of leading zeros.
        if timestamp.len() > MAX_TIMESTAMP_DIGITS || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Rejection::MalformedTimestamp);
        }
        let seconds: u64 = timestamp.parse().map_err(|_| Rejection::MalformedTimestamp)?;
        let signature = STANDARD.decode(signature).map_err(|_| Rejection::MalformedSignature)?;
        let now = now.as_secs();
        if now.saturating_sub(seconds) > tolerance.as_secs() {
            return Err(Rejection::Stale);
        }
        if seconds.saturating_sub(now) > tolerance.as_secs() {
            return Err(Rejection::Future);
        }
        Ok(Self {
            timestamp: timestamp.to_owned(),
            seconds,
            signature,
        })
    }

    /// Whether one of `keys` made this signature for `task_id`. Each comparison takes constant time.
    pub fn is_signed_by(&self, keys: &[SigningKey], task_id: &str) -> bool {
        keys.iter()
            .any(|key| key.mac(task_id, &self.timestamp).verify_slice(&self.signature).is_ok())
    }

    /// When the provider sent the request, in Unix seconds.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// Why a request is refused. For the log only: every sender gets the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rejection {
    /// A header is missing.
    #[error("the signature headers are missing: is there a webhookHmacKey in the provider's settings?")]
    MissingHeader,
    /// The timestamp is not a plain number of seconds.
    #[error("the timestamp is not a number of Unix seconds")]
    MalformedTimestamp,
    /// The signature is not standard base64 with padding.
    #[error("the signature is not base64")]
    MalformedSignature,
    /// The request was sent too long ago, or replayed.
    #[error("the timestamp is too old")]
    Stale,
    /// The timestamp is ahead of our clock. It may be in milliseconds.
    #[error("the timestamp is in the future")]
    Future,
    /// No key made this signature for a task id in the body.
    #[error("the signature matches no key")]
    WrongSignature,
    /// There is no key to verify with.
    #[error("no key is configured")]
    NoKey,
}

impl Rejection {
    /// The reason as one word, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingHeader => "MissingHeader",
            Self::MalformedTimestamp => "MalformedTimestamp",
            Self::MalformedSignature => "MalformedSignature",
            Self::Stale => "Stale",
            Self::Future => "Future",
            Self::WrongSignature => "WrongSignature",
            Self::NoKey => "NoKey",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);
    const TOLERANCE: Duration = Duration::from_secs(300);

    fn key(text: &str) -> SigningKey {
        SigningKey::new(text).unwrap()
    }

    fn read(timestamp: &str, signature: &str) -> Result<Claim, Rejection> {
        Claim::read(Some(timestamp), Some(signature), NOW, TOLERANCE)
    }

    #[test]
    fn a_true_signature_is_accepted_with_either_key() {
        let signature = key("old").sign("task", "1700000000");
        let claim = read("1700000000", &signature).unwrap();
        assert!(claim.is_signed_by(&[key("new"), key("old")], "task"));
        assert!(!claim.is_signed_by(&[key("new")], "task"));
        assert!(!claim.is_signed_by(&[key("old")], "other"));
        assert!(!claim.is_signed_by(&[], "task"));
    }

    #[test]
    fn the_text_of_the_timestamp_is_signed_not_its_value() {
        let padded = "001700000000";
        let claim = read(padded, &key("k").sign("task", padded)).unwrap();
        assert!(claim.is_signed_by(&[key("k")], "task"));
        let renumbered = read(padded, &key("k").sign("task", "1700000000")).unwrap();
        assert!(!renumbered.is_signed_by(&[key("k")], "task"));
    }

    #[test]
    fn the_time_window_includes_both_bounds() {
        let at = |seconds: u64| read(&seconds.to_string(), "AAAA").map(|c| c.seconds());
        assert_eq!(at(1_700_000_000 - 300), Ok(1_699_999_700));
        assert_eq!(at(1_700_000_000 - 301), Err(Rejection::Stale));
        assert_eq!(at(1_700_000_000 + 300), Ok(1_700_000_300));
        assert_eq!(at(1_700_000_000 + 301), Err(Rejection::Future));
        assert_eq!(at(1_700_000_000_000), Err(Rejection::Future), "milliseconds");
    }

    #[test]
    fn malformed_headers_are_told_apart() {
        assert_eq!(
            Claim::read(None, Some("AAAA"), NOW, TOLERANCE),
            Err(Rejection::MissingHeader)
        );
        assert_eq!(
            Claim::read(Some("1700000000"), None, NOW, TOLERANCE),
            Err(Rejection::MissingHeader)
        );
        for timestamp in [
            "",
            "+1700000000",
            "-1",
            "1.7e9",
            " 1700000000",
            "1700000000,1700000000",
            "99999999999999999999999",
            "000000000001700000000",
        ] {
            assert_eq!(
                read(timestamp, "AAAA"),
                Err(Rejection::MalformedTimestamp),
                "{timestamp:?}"
            );
        }
        for signature in ["%", "AA-_", "AAA", "AAAA AAAA", "AAAA,AAAA"] {
            assert_eq!(
                read("1700000000", signature),
                Err(Rejection::MalformedSignature),
                "{signature:?}"
            );
        }
    }

    #[test]
    fn a_timestamp_has_at_most_20_digits() {
        assert_eq!(
            read("00000000001700000000", "AAAA").map(|claim| claim.seconds()),
            Ok(1_700_000_000)
        );
        assert_eq!(
            read("000000000001700000000", "AAAA"),
            Err(Rejection::MalformedTimestamp)
        );
    }

    #[test]
    fn a_rejection_has_the_name_of_its_variant() {
        for rejection in [
            Rejection::MissingHeader,
            Rejection::MalformedTimestamp,
            Rejection::MalformedSignature,
            Rejection::Stale,
            Rejection::Future,
            Rejection::WrongSignature,
            Rejection::NoKey,
        ] {
            assert_eq!(rejection.name(), format!("{rejection:?}"));
        }
    }

    #[test]
    fn a_truncated_or_empty_signature_does_not_verify() {
        let whole = key("k").sign("task", "1700000000");
        for part in ["", &whole[..4], &whole[..40]] {
            let claim = read("1700000000", part).unwrap();
            assert!(!claim.is_signed_by(&[key("k")], "task"), "{part:?}");
        }
    }

    #[test]
    fn an_empty_key_is_refused_and_debug_prints_no_key() {
        assert!(SigningKey::new("").is_none());
        assert!(SigningKey::new(" \n").is_none());
        assert_eq!(key("k\n").sign("task", "1"), key("k").sign("task", "1"));
        assert_eq!(format!("{:?}", key("hunter2")), "SigningKey(…)");
        let claim = read("1700000000", &key("k").sign("task", "1700000000")).unwrap();
        assert_eq!(format!("{claim:?}"), r#"Claim { timestamp: "1700000000", .. }"#);
    }
}
