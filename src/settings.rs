//! The settings of the functions, read from the environment once, before the first event.
//!
//! template.yaml sets all of them. A function with a bad setting names it in the log and does not start.

use std::{ops::RangeInclusive, time::Duration};

use thiserror::Error;

use suno_midi::music::tempo::{BadTempoChoice, TempoChoice};

/// The variable with the ARN of the secret.
pub const KEY_SECRET_ID: &str = "KEY_SECRET_ID";
/// The variable with the name of the bucket.
pub const BUCKET: &str = "BUCKET";
/// The variable with the URL of the render queue.
pub const RENDER_QUEUE_URL: &str = "RENDER_QUEUE_URL";
/// The variable with the tolerance for timestamps, in seconds.
pub const TOLERANCE_SECONDS: &str = "TOLERANCE_SECONDS";
/// The variable with the URL of the results queue.
pub const RESULTS_QUEUE_URL: &str = "RESULTS_QUEUE_URL";
/// The variable with the tempo of the files: `auto`, `off`, or a number of BPM.
pub const TEMPO: &str = "TEMPO";

const TOLERANCES: RangeInclusive<u64> = 1..=86_400;

/// The receiver's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// The secret with the signing key, as an ARN or a name.
    pub key_secret_id: String,
    /// The bucket for bodies.
    pub bucket: String,
    /// The queue for render jobs.
    pub render_queue_url: String,
    /// How far the timestamp of a callback may be from our clock, either way: 1 to 86,400 seconds.
    pub tolerance: Duration,
}

/// The renderer's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct RendererSettings {
    /// The bucket of bodies and results.
    pub bucket: String,
    /// The queue for result documents.
    pub results_queue_url: String,
    /// How the tempo of the files is chosen.
    pub tempo: TempoChoice,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadSetting {
    /// It is not set, or empty.
    #[error("the environment variable {0} is not set: deploy with template.yaml, which sets it")]
    Missing(&'static str),
    /// Its value is not allowed.
    #[error("the environment variable {name} is {value:?}: {rule}")]
    Unusable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// Which values are allowed.
        rule: String,
    },
}

impl ReceiverSettings {
    /// Reads the settings; `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let tolerance = required(&lookup, TOLERANCE_SECONDS)?;
        let seconds = tolerance.parse().ok().filter(|seconds| TOLERANCES.contains(seconds));
        let unusable = BadSetting::Unusable {
            name: TOLERANCE_SECONDS,
            value: tolerance,
            rule: format!(
                "it must be a number of seconds from {} to {}",
                TOLERANCES.start(),
                TOLERANCES.end()
            ),
        };
        Ok(Self {
            key_secret_id: required(&lookup, KEY_SECRET_ID)?,
            bucket: required(&lookup, BUCKET)?,
            render_queue_url: required(&lookup, RENDER_QUEUE_URL)?,
            tolerance: Duration::from_secs(seconds.ok_or(unusable)?),
        })
    }
}

impl RendererSettings {
    /// Reads the settings; `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let tempo = required(&lookup, TEMPO)?;
        Ok(Self {
            bucket: required(&lookup, BUCKET)?,
            results_queue_url: required(&lookup, RESULTS_QUEUE_URL)?,
            tempo: tempo.parse().map_err(|error: BadTempoChoice| BadSetting::Unusable {
                name: TEMPO,
                value: tempo,
                rule: error.to_string(),
            })?,
        })
    }
}

/// Looks a variable up in the environment of the process.
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
    fn the_tolerance_has_bounds() {
        let read = |value| {
            ReceiverSettings::read(lookup(TOLERANCE_SECONDS, Some(value))).map(|settings| settings.tolerance.as_secs())
        };
        assert_eq!(read("1"), Ok(1));
        assert_eq!(read("86400"), Ok(86_400));
        for bad in ["0", "86401", "-1", "5m", " 300"] {
            assert!(matches!(read(bad), Err(BadSetting::Unusable { .. })), "{bad}");
        }
    }

    #[test]
    fn an_unusable_setting_says_which_values_are_allowed() {
        let error = ReceiverSettings::read(lookup(TOLERANCE_SECONDS, Some("5m"))).map_err(|error| error.to_string());
        let rule = "it must be a number of seconds from 1 to 86400";
        assert_eq!(
            error,
            Err(format!("the environment variable TOLERANCE_SECONDS is \"5m\": {rule}"))
        );
        let error = RendererSettings::read(lookup(TEMPO, Some("fast"))).map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err(format!("the environment variable TEMPO is \"fast\": {BadTempoChoice}"))
        );
    }
}
