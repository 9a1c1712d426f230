//! What is specific to KIE.ai: what it sends, how it signs it, and what can be asked of it.
//!
//! The facts come from the provider's pages "MIDI Generation Callbacks", "Get MIDI Generation Details" and "Webhook
//! Security Verification". Where the pages disagree, we accept every form: a callback that is refused for its shape is
//! a lost song.

pub mod api;
pub mod callback;
mod json;
pub mod signature;
pub mod task_ids;

use serde::de::IgnoredAny;
use thiserror::Error;

/// A body that is not one JSON value. Says where reading stopped, and quotes nothing.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("the body is not JSON (line {line}, column {column})")]
pub struct NotJson {
    line: usize,
    column: usize,
}

/// Checks that a body is one JSON value, of any kind. The content of strings does not matter: a lone surrogate or a
/// byte that is not UTF-8 spoils a name, not the song.
///
/// # Errors
/// If the body is not JSON.
pub fn check_json(body: &[u8]) -> Result<(), NotJson> {
    let parsed = serde_json::from_slice::<IgnoredAny>(without_bom(body));
    parsed.map(drop).map_err(|error| NotJson {
        line: error.line(),
        column: error.column(),
    })
}

/// The body without the byte order mark that some writers put first.
fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn invalid_json_is_refused_without_quoting_it() {
        for body in [&b""[..], b"{", b"{\"secret\":}", b"{} {}", b"\x1f\x8b\x08", b"taskId=a"] {
            let error = check_json(body).unwrap_err().to_string();
            assert!(error.starts_with("the body is not JSON (line 1, column "), "{error}");
        }
    }

    #[test]
    fn the_content_of_strings_does_not_matter() {
        for body in [&b"{\"a\":\"\xff\"}"[..], br#"{"\ud800":"\udc00"}"#, b"\xef\xbb\xbf{}"] {
            assert_eq!(check_json(body), Ok(()));
        }
    }
}
