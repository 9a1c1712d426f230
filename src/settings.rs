//! Settings from the environment, read once, before the first event.
//!
//! The template sets them all; a function with a bad one refuses to start and says which.

use std::time::Duration;

use thiserror::Error;

use suno_midi::music::tempo::TempoChoice;

/// The variable with the secret's ARN.
pub const KEY_SECRET_ID: &str = "KEY_SECRET_ID";
/// The variable with the bucket's name.
pub const BUCKET: &str = "BUCKET";
/// The variable with the render queue's URL.
pub const RENDER_QUEUE_URL: &str = "RENDER_QUEUE_URL";
/// The variable with the width of the timestamp window, in seconds either way.
pub const TOLERANCE_SECONDS: &str = "TOLERANCE_SECONDS";

/// The variable with the results queue's URL.
pub const RESULTS_QUEUE_URL: &str = "RESULTS_QUEUE_URL";
/// The variable with the tempo of the files: `auto`, `off`, or a number of BPM.
pub const TEMPO: &str = "TEMPO";

/// The receiver's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// The secret with the key, as an ARN or a name.
    pub key_secret_id: String,
    /// The bucket for bodies.
    pub bucket: String,
    /// The queue for render jobs.
    pub render_queue_url: String,
    /// How far a callback's timestamp may be from our clock, either way: 1 to 86,400 seconds.
    pub tolerance: Duration,
}

/// The renderer's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct RendererSettings {
    /// The bucket of bodies and results.
    pub bucket: String,
    /// The queue for result documents.
    pub results_queue_url: String,
    /// How the files' tempo is chosen.
    pub tempo: TempoChoice,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadSetting {
    /// It is not set, or empty.
    #[error("the environment variable {0} is not set: deploy with template.yaml, which sets it")]
    Missing(&'static str),
    /// Its value is not within its range.
    #[error("the environment variable {name} is {value:?}, but must be {expected}")]
    OutOfRange {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would do.
        expected: &'static str,
    },
}

impl ReceiverSettings {
    /// Reads the settings; `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// If one is missing or out of its range.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let tolerance = required(&lookup, TOLERANCE_SECONDS)?;
        let seconds = tolerance.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
        let out_of_range = BadSetting::OutOfRange {
            name: TOLERANCE_SECONDS,
            value: tolerance,
            expected: "a number of seconds from 1 to 86400",
        };
        Ok(Self {
            key_secret_id: required(&lookup, KEY_SECRET_ID)?,
            bucket: required(&lookup, BUCKET)?,
            render_queue_url: required(&lookup, RENDER_QUEUE_URL)?,
            tolerance: Duration::from_secs(seconds.ok_or(out_of_range)?),
        })
    }
}

impl RendererSettings {
    /// Reads the settings; `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// If one is missing or out of its range.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let tempo = required(&lookup, TEMPO)?;
        let expected = "\"auto\", \"off\", or a number of beats per minute from 20 to 400";
        Ok(Self {
            bucket: required(&lookup, BUCKET)?,
            results_queue_url: required(&lookup, RESULTS_QUEUE_URL)?,
            tempo: tempo.parse().map_err(|_| BadSetting::OutOfRange {
                name: TEMPO,
                value: tempo,
                expected,
            })?,
        })
    }
}

/// A lookup in the process's environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn required(lookup: impl Fn(&str) -> Option<String>, name: &'static str) -> Result<String, BadSetting> {
    lookup(name)
        .filter(|value| !value.is_empty())
        .ok_or(BadSetting::Missing(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup<'a>(name: &'a str, value: Option<&'a str>) -> impl Fn(&str) -> Option<String> + 'a {
        move |asked| {
            if asked == name {
                value.map(str::to_owned)
            } else {
                Some("300".to_owned())
            }
        }
    }

    #[test]
    fn a_missing_or_empty_setting_is_named() {
        for name in [KEY_SECRET_ID, BUCKET, RENDER_QUEUE_URL, TOLERANCE_SECONDS] {
            assert_eq!(
                ReceiverSettings::read(lookup(name, None)),
                Err(BadSetting::Missing(name))
            );
            assert_eq!(
                ReceiverSettings::read(lookup(name, Some(""))),
                Err(BadSetting::Missing(name))
            );
        }
        assert_eq!(
            RendererSettings::read(lookup(BUCKET, None)),
            Err(BadSetting::Missing(BUCKET))
        );
    }

    #[test]
    fn the_window_has_bounds() {
        let read = |value| {
            ReceiverSettings::read(lookup(TOLERANCE_SECONDS, Some(value))).map(|settings| settings.tolerance.as_secs())
        };
        assert_eq!(read("1"), Ok(1));
        assert_eq!(read("86400"), Ok(86_400));
        for bad in ["0", "86401", "-1", "5m", " 300"] {
            assert!(matches!(read(bad), Err(BadSetting::OutOfRange { .. })), "{bad}");
        }
    }
}
