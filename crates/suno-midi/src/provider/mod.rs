//! The interface of KIE.ai: callbacks, their signature, and requests.
//!
//! The facts come from the provider's pages "MIDI Generation Callbacks", "Get MIDI Generation Details" and "Webhook
//! Security Verification". Where the pages disagree, we accept every form: a callback that is refused for its shape is
//! a lost song.

pub mod api;
mod body;
pub mod callback;
mod json;
mod meaning;
mod names;
mod refusal;
mod search;
pub mod signature;
pub mod task_ids;

use serde::de::IgnoredAny;
use thiserror::Error;

pub(crate) use names::names;

/// A body that is not one JSON value. Quotes nothing of it.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum NotJson {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// A page of a web site.
    #[error("the body is a web page, not JSON")]
    WebPage,
    /// A MIDI file.
    #[error("the body is a MIDI file, not the JSON that one is made of")]
    Midi,
    /// gzip or zip.
    #[error("the body is compressed: unpack it first")]
    Compressed,
    /// Anything else, such as JSON that is cut off.
    #[error("the body is not JSON (line {line}, column {column}): {reason}")]
    Broken {
        /// The line where reading stopped, from 1.
        line: usize,
        /// The column, from 1; 0 before the first character of the line.
        column: usize,
        /// What was wrong there.
        reason: String,
    },
}

impl NotJson {
    /// What this text is, of which serde_json says that it is not JSON.
    fn of(text: &str, error: &serde_json::Error) -> Self {
        let text = text.trim_start();
        let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
        match text {
            "" => Self::Empty,
            _ if begins(&["<"]) => Self::WebPage,
            _ if begins(&["MThd"]) => Self::Midi,
            // The second byte of gzip is no UTF-8.
            _ if begins(&["\u{1f}\u{fffd}", "PK\u{3}\u{4}"]) => Self::Compressed,
            _ => Self::Broken {
                line: error.line(),
                column: error.column(),
                reason: error
                    .to_string()
                    .split(" at line")
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            },
        }
    }
}

/// Checks that a body is one JSON value, of any kind. The content of strings does not matter: a lone surrogate or a
/// byte that is not UTF-8 spoils a name, not the song.
///
/// # Errors
/// If the body is not JSON.
pub fn check_json(body: &[u8]) -> Result<(), NotJson> {
    let body = without_bom(body);
    let parsed = serde_json::from_slice::<IgnoredAny>(body);
    parsed.map(drop).map_err(|error| {
        let start = body.trim_ascii_start();
        let start = &start[..start.len().min(START)];
        NotJson::of(&String::from_utf8_lossy(start), &error)
    })
}

/// How many bytes of a body show what it is.
const START: usize = 16;

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
        for body in [&b"{"[..], b"{\"secret\":}", b"{} {}", b"taskId=a"] {
            let error = check_json(body).unwrap_err().to_string();
            assert!(error.starts_with("the body is not JSON (line 1, column "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_often_taken_for_json_is_named() {
        for (body, expected) in [
            (&b""[..], NotJson::Empty),
            (b" \n", NotJson::Empty),
            (b"\xef\xbb\xbf", NotJson::Empty),
            (b"\n<!doctype html><html></html>", NotJson::WebPage),
            (b"MThd\0\0\0\x06\0\x01", NotJson::Midi),
            (b"\x1f\x8b\x08\0\0", NotJson::Compressed),
            (b"PK\x03\x04\x14", NotJson::Compressed),
        ] {
            assert_eq!(check_json(body), Err(expected.clone()), "{body:?}");
            assert_eq!(callback::read(body), Err(expected.into()), "{body:?}");
        }
    }

    #[test]
    fn the_content_of_strings_does_not_matter() {
        for body in [&b"{\"a\":\"\xff\"}"[..], br#"{"\ud800":"\udc00"}"#, b"\xef\xbb\xbf{}"] {
            assert_eq!(check_json(body), Ok(()));
        }
    }
}
