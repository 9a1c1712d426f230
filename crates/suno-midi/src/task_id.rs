//! The provider's name for one transcription.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The id of a task, safe as a part of an object name or a file name.
///
/// One to [`TaskId::MAX_LENGTH`] characters of `[A-Za-z0-9._-]`, and neither `.` nor `..`. The provider documents no
/// alphabet; the ids seen are hex strings and UUIDs.
///
/// ```
/// use suno_midi::TaskId;
///
/// assert!("5c79be8e".parse::<TaskId>().is_ok());
/// assert!("../escape".parse::<TaskId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(String);

/// Why a text is not a [`TaskId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the task id must be 1 to {max} characters of A-Z a-z 0-9 . _ - and neither \".\" nor \"..\"", max = TaskId::MAX_LENGTH)]
pub struct UnfitTaskId;

impl TaskId {
    /// The longest id, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// The id as the provider wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TaskId {
    type Err = UnfitTaskId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            && text != "."
            && text != "..";
        fits.then(|| Self(text.to_owned())).ok_or(UnfitTaskId)
    }
}

impl TryFrom<String> for TaskId {
    type Error = UnfitTaskId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_ids_are_refused() {
        let long = "a".repeat(TaskId::MAX_LENGTH + 1);
        for unfit in ["", ".", "..", "a/b", "a\\b", "a b", "é", "a\0", "a\n", "*", &long] {
            assert_eq!(unfit.parse::<TaskId>(), Err(UnfitTaskId), "{unfit:?}");
        }
        for fit in [
            "a",
            "5c79****be8e".replace('*', "0").as_str(),
            "...",
            "A-b_c.9",
            &long[1..],
        ] {
            let id = fit.parse::<TaskId>();
            assert_eq!(id.as_ref().map(TaskId::as_str), Ok(fit));
            assert_eq!(id.map(|id| id.to_string()), Ok(fit.to_owned()));
        }
    }
}
