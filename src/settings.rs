//! The settings of the functions, read from the environment once, before the first event.
//!
//! template.yaml sets all of them. A function with a bad setting names it in the log and does not start.

use std::{fmt, ops::RangeInclusive, time::Duration};

use thiserror::Error;

use suno_midi::{Options, RenderOptions};

use crate::{
    account::AccountSettings,
    provider::BadApiUrl,
    push::{BadPushUrl, PushUrl},
};

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
/// The variable with the tempo of the files: `auto`, `off`, a number of BPM, or `~` and such a number.
pub const TEMPO: &str = "TEMPO";
/// The variable that says whether each song has one tempo: `true` or `false`.
pub const STEADY: &str = "STEADY";
/// The variable that says whether each instrument has a MIDI file of its own: `true` or `false`.
pub const SPLIT: &str = "SPLIT";
/// The variable with the URL of the watch queue.
pub const WATCH_QUEUE_URL: &str = "WATCH_QUEUE_URL";
/// The variable with the base URL of the provider's API.
pub const PROVIDER_API_URL: &str = "PROVIDER_API_URL";
/// The variable that names the secret with the provider's API key; empty if there is none.
pub const PROVIDER_KEY_SECRET_ID: &str = "PROVIDER_KEY_SECRET_ID";
/// The variable that says whether the provider is asked if callbacks are right: `true` or `false`.
pub const VERIFY_BODIES: &str = "VERIFY_BODIES";
/// The variable that says what becomes of callbacks without a signature: `refuse` or `ask`.
pub const UNSIGNED_CALLBACKS: &str = "UNSIGNED_CALLBACKS";
/// The variable with the grid of the quantized file: `off`, `1/8`, `1/12`, `1/16` or `1/24`.
pub const QUANTIZE: &str = "QUANTIZE";
/// The variable with how far the notes of the quantized file move: 0 to 1.
pub const QUANTIZE_STRENGTH: &str = "QUANTIZE_STRENGTH";

/// The variable with the URL of the push queue.
pub const PUSH_QUEUE_URL: &str = "PUSH_QUEUE_URL";
/// The variable with the URL that results are pushed to.
pub const PUSH_URL: &str = "PUSH_URL";
/// The variable that names the secret that signs pushes.
pub const PUSH_SECRET_ID: &str = "PUSH_SECRET_ID";

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
    /// The queue for a look at a watched task that an unsigned callback is about; `None` if unsigned callbacks are refused.
    pub watch_queue_url: Option<String>,
}

/// The renderer's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct RendererSettings {
    /// The bucket of bodies and results.
    pub bucket: String,
    /// The queue for result documents.
    pub results_queue_url: String,
    /// What the files are like, if a job says nothing else.
    pub options: Options,
}

/// The reconciler's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcilerSettings {
    /// The bucket of bodies, results and watched tasks.
    pub bucket: String,
    /// The queue for render jobs.
    pub render_queue_url: String,
    /// The queue for result documents.
    pub results_queue_url: String,
    /// The queue for the next look at a task.
    pub watch_queue_url: String,
    /// The account at the provider; `None` if the stack has no API key.
    pub account: Option<AccountSettings>,
    /// Whether the provider is asked if callbacks are right. Without an account nobody can be asked.
    pub verify_bodies: bool,
}

/// The pusher's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PusherSettings {
    /// The bucket of results.
    pub bucket: String,
    /// The queue whose messages are about new results.
    pub push_queue_url: String,
    /// Where results are pushed to.
    pub push_url: PushUrl,
    /// The secret that signs pushes, as an ARN or a name.
    pub push_secret_id: String,
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
            watch_queue_url: match parsed(&lookup, UNSIGNED_CALLBACKS, ask_or_refuse)? {
                true => Some(required(&lookup, WATCH_QUEUE_URL)?),
                false => None,
            },
        })
    }
}

impl RendererSettings {
    /// Reads the settings; `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        Ok(Self {
            bucket: required(&lookup, BUCKET)?,
            results_queue_url: required(&lookup, RESULTS_QUEUE_URL)?,
            options: RenderOptions {
                tempo: Some(parsed(&lookup, TEMPO, str::parse)?),
                steady: Some(parsed(&lookup, STEADY, true_or_false)?),
                split: Some(parsed(&lookup, SPLIT, true_or_false)?),
                quantize: Some(parsed(&lookup, QUANTIZE, str::parse)?),
                quantize_strength: Some(parsed(&lookup, QUANTIZE_STRENGTH, str::parse)?),
                ..RenderOptions::default()
            }
            .into(),
        })
    }
}

impl ReconcilerSettings {
    /// Reads the settings; `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let url = required(&lookup, PROVIDER_API_URL)?.parse();
        let url = url.map_err(|rule: BadApiUrl| unquoted(PROVIDER_API_URL, &rule))?;
        let key_secret_id = lookup(PROVIDER_KEY_SECRET_ID).filter(|id| !id.is_empty());
        Ok(Self {
            bucket: required(&lookup, BUCKET)?,
            render_queue_url: required(&lookup, RENDER_QUEUE_URL)?,
            results_queue_url: required(&lookup, RESULTS_QUEUE_URL)?,
            watch_queue_url: required(&lookup, WATCH_QUEUE_URL)?,
            account: key_secret_id.map(|key_secret_id| AccountSettings { key_secret_id, url }),
            verify_bodies: parsed(&lookup, VERIFY_BODIES, true_or_false)?,
        })
    }
}

impl PusherSettings {
    /// Reads the settings; `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// If one is missing or not allowed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let url = required(&lookup, PUSH_URL)?.parse();
        Ok(Self {
            bucket: required(&lookup, BUCKET)?,
            push_queue_url: required(&lookup, PUSH_QUEUE_URL)?,
            push_url: url.map_err(|rule: BadPushUrl| unquoted(PUSH_URL, &rule))?,
            push_secret_id: required(&lookup, PUSH_SECRET_ID)?,
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

/// An error about a URL. It does not quote the URL, which may hold a password.
fn unquoted(name: &'static str, rule: &impl fmt::Display) -> BadSetting {
    BadSetting::Unusable {
        name,
        value: "…".to_owned(),
        rule: rule.to_string(),
    }
}

fn parsed<T, E: fmt::Display>(
    lookup: impl Fn(&str) -> Option<String>,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, BadSetting> {
    let value = required(lookup, name)?;
    parse(&value).map_err(|rule| BadSetting::Unusable {
        name,
        value,
        rule: rule.to_string(),
    })
}

fn ask_or_refuse(text: &str) -> Result<bool, &'static str> {
    match text {
        "ask" => Ok(true),
        "refuse" => Ok(false),
        _ => Err("it must be refuse or ask"),
    }
}

fn true_or_false(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "it must be true or false")
}

#[cfg(test)]
mod tests {
    use suno_midi::options::{BadTempoChoice, Quantize, TempoChoice};

    use super::*;

    fn lookup<'a>(name: &'a str, value: Option<&'a str>) -> impl Fn(&str) -> Option<String> + 'a {
        move |asked| {
            if asked == name {
                value.map(str::to_owned)
            } else {
                let usual = if asked == UNSIGNED_CALLBACKS { "refuse" } else { "300" };
                Some(usual.to_owned())
            }
        }
    }

    /// Reads the renderer's settings, one of them changed.
    fn renderer(changed: &str, value: Option<&str>) -> Result<RendererSettings, BadSetting> {
        RendererSettings::read(|name| {
            let usual = match name {
                TEMPO => "auto",
                STEADY | SPLIT => "false",
                QUANTIZE => "off",
                QUANTIZE_STRENGTH => "1",
                _ => "name",
            };
            if name == changed { value } else { Some(usual) }.map(str::to_owned)
        })
    }

    #[test]
    fn a_stack_has_its_own_options() {
        let options = |name, value| renderer(name, Some(value)).map(|settings| settings.options.render);
        assert_eq!(
            options(TEMPO, "auto").map(|options| options.tempo),
            Ok(Some(TempoChoice::Auto))
        );
        assert_eq!(options(STEADY, "true").map(|options| options.steady), Ok(Some(true)));
        assert_eq!(options(SPLIT, "true").map(|options| options.split), Ok(Some(true)));
        assert_eq!(
            options(QUANTIZE, "1/12").map(|options| options.quantize),
            Ok(Some(Quantize::EighthTriplets))
        );
        assert_eq!(
            options(QUANTIZE_STRENGTH, "0.5").map(|options| options.quantize_strength),
            Ok("0.5".parse().ok())
        );
        for (name, bad) in [
            (STEADY, "yes"),
            (SPLIT, "1"),
            (QUANTIZE, "16"),
            (QUANTIZE_STRENGTH, "2"),
        ] {
            let error = options(name, bad).map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains(name)), "{name}");
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
        for name in [
            BUCKET,
            RESULTS_QUEUE_URL,
            TEMPO,
            STEADY,
            SPLIT,
            QUANTIZE,
            QUANTIZE_STRENGTH,
        ] {
            for missing in [None, Some("")] {
                assert_eq!(renderer(name, missing), Err(BadSetting::Missing(name)));
            }
        }
    }

    /// Reads the reconciler's settings, one of them changed.
    fn reconciler(changed: &str, value: Option<&str>) -> Result<ReconcilerSettings, BadSetting> {
        ReconcilerSettings::read(|name| {
            let usual = match name {
                PROVIDER_API_URL => "https://api.kie.ai",
                VERIFY_BODIES => "true",
                _ => "name",
            };
            if name == changed { value } else { Some(usual) }.map(str::to_owned)
        })
    }

    #[test]
    fn a_reconciler_needs_no_api_key_but_all_the_rest() {
        for none in [None, Some("")] {
            let settings = reconciler(PROVIDER_KEY_SECRET_ID, none);
            assert_eq!(settings.map(|settings| settings.account), Ok(None));
            for name in [
                BUCKET,
                RENDER_QUEUE_URL,
                RESULTS_QUEUE_URL,
                WATCH_QUEUE_URL,
                PROVIDER_API_URL,
                VERIFY_BODIES,
            ] {
                assert_eq!(reconciler(name, none), Err(BadSetting::Missing(name)));
            }
        }
        let account = reconciler("", None).map(|settings| settings.account.map(|account| account.key_secret_id));
        assert_eq!(account, Ok(Some("name".to_owned())));
    }

    #[test]
    fn a_bad_url_is_not_quoted() {
        let error = reconciler(PROVIDER_API_URL, Some("https://user:password@api.kie.ai"));
        let error = error.map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains(PROVIDER_API_URL) && !error.contains("password")));
    }

    #[test]
    fn a_pusher_needs_all_settings_and_does_not_quote_a_bad_url() {
        let read = |changed: &str, value: Option<&str>| {
            PusherSettings::read(|name| {
                let usual = if name == PUSH_URL {
                    "https://example.com/x"
                } else {
                    "name"
                };
                if name == changed { value } else { Some(usual) }.map(str::to_owned)
            })
        };
        assert!(read("", None).is_ok());
        for name in [BUCKET, PUSH_QUEUE_URL, PUSH_URL, PUSH_SECRET_ID] {
            for none in [None, Some("")] {
                assert_eq!(read(name, none), Err(BadSetting::Missing(name)));
            }
        }
        let error = read(PUSH_URL, Some("http://example.com/token")).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains(PUSH_URL) && !error.contains("token")));
    }

    #[test]
    fn unsigned_callbacks_need_the_watch_queue_only_if_they_are_taken() {
        let read = |name, value| ReceiverSettings::read(lookup(name, value)).map(|settings| settings.watch_queue_url);
        assert_eq!(read(UNSIGNED_CALLBACKS, Some("ask")), Ok(Some("300".to_owned())));
        assert_eq!(read(WATCH_QUEUE_URL, None), Ok(None));
        for bad in ["", "Ask", "true"] {
            assert!(read(UNSIGNED_CALLBACKS, Some(bad)).is_err(), "{bad}");
        }
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
        let error = renderer(TEMPO, Some("fast")).map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err(format!("the environment variable TEMPO is \"fast\": {BadTempoChoice}"))
        );
    }
}
