//! What the files of a song should be like, as a person asks for it.
//!
//! [`RenderOptions`] is the only list of these options. The JSON of a job, the environment of the renderer and the
//! arguments of the command line (with the feature `clap`) are read into it.

mod key;
mod meter;
mod quantize;
mod tempo;

use std::{fmt::Display, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use thiserror::Error;

pub use key::{BadKey, Key};
pub use meter::{BadMeter, Meter};
pub use quantize::{BadQuantize, BadStrength, Quantize, Strength};
pub use tempo::{BadDownbeat, BadTempoChoice, Downbeat, TempoChoice};

/// Everything that decides what the files of a song are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// What a person can ask for.
    pub render: RenderOptions,
    /// Whether to draw a piano roll.
    pub piano_roll: bool,
    /// When `render` was requested, in Unix milliseconds; `None` for the usual options. Each file embeds it, so that two
    /// requests never give the same bytes.
    pub requested_at: Option<u64>,
}

impl Default for Options {
    /// All is inferred; a MIDI file and a piano roll.
    fn default() -> Self {
        RenderOptions::default().into()
    }
}

impl From<RenderOptions> for Options {
    fn from(render: RenderOptions) -> Self {
        Self {
            render,
            piano_roll: true,
            requested_at: None,
        }
    }
}

/// The options that a person can ask for. `None` keeps the default.
///
/// As JSON it is an object. A value may be a string, or the number or boolean that the string means.
///
/// ```
/// use suno_midi::RenderOptions;
///
/// let options: RenderOptions = r#"{"tempo": 92, "meter": "3/4", "split": true}"#.parse()?;
/// assert_eq!(options.tempo, Some("92".parse()?));
/// assert_eq!(options.split, Some(true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase", default, deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[cfg_attr(feature = "clap", command(next_help_heading = "Rendering options"))]
pub struct RenderOptions {
    /// The tempo: auto (inferred from the notes), off (120), or a number of BPM from 20 to 400
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "clap", arg(long = "bpm", value_name = "BPM"))]
    pub tempo: Option<TempoChoice>,
    /// The metre: 2/4 to 7/4, 6/8, 9/8 or 12/8
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "clap", arg(long, value_name = "METRE"))]
    pub meter: Option<Meter>,
    /// A downbeat, in seconds from the beginning of the audio: a bar begins there
    #[serde(deserialize_with = "text::deserialize", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "clap", arg(long, value_name = "SECONDS"))]
    pub downbeat: Option<Downbeat>,
    /// One tempo for the whole song, even if its beats drift
    #[serde(deserialize_with = "switch", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "clap",
        arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")
    )]
    pub steady: Option<bool>,
    /// The key: C, F#, Bb, Ebm
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "clap", arg(long, value_name = "KEY"))]
    pub key: Option<Key>,
    /// Also write one MIDI file for each instrument
    #[serde(deserialize_with = "switch", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "clap",
        arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")
    )]
    pub split: Option<bool>,
    /// Also write a MIDI file with its notes on a grid: 1/8, 1/12 (triplets), 1/16, 1/24 (triplets), or off
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "clap", arg(long, value_name = "GRID"))]
    pub quantize: Option<Quantize>,
    /// How far notes move to the grid, from 0 to 1 [default: 1]
    #[serde(deserialize_with = "text::deserialize", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "clap", arg(long, value_name = "SHARE", requires = "quantize"))]
    pub quantize_strength: Option<Strength>,
}

impl RenderOptions {
    /// These options; where one is `None`, that of `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            tempo: self.tempo.or(others.tempo),
            meter: self.meter.or(others.meter),
            downbeat: self.downbeat.or(others.downbeat),
            steady: self.steady.or(others.steady),
            key: self.key.or(others.key),
            split: self.split.or(others.split),
            quantize: self.quantize.or(others.quantize),
            quantize_strength: self.quantize_strength.or(others.quantize_strength),
        }
    }

    /// Whether every option keeps its default.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A text that is not the JSON of [`RenderOptions`], or whose options contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadRenderOptions(String);

impl FromStr for RenderOptions {
    type Err = BadRenderOptions;

    /// Reads the usual options of a stack from JSON. Unlike a request, which is merged with these, they are complete: a
    /// strength without a grid would do nothing.
    fn from_str(json: &str) -> Result<Self, Self::Err> {
        let options: Self = serde_json::from_str(json).map_err(|why| BadRenderOptions(why.to_string()))?;
        if options.quantize_strength.is_some() && options.quantize.unwrap_or_default() == Quantize::Off {
            let why = "quantizeStrength: it needs quantize, the grid to which notes move";
            return Err(BadRenderOptions(why.to_owned()));
        }
        Ok(options)
    }
}

impl Serialize for RenderOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for RenderOptions {
    /// Reads one member after the other, so that an error can name its member.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::<String, Value>::deserialize(deserializer)?;
        members.into_iter().try_fold(Self::default(), |options, member| {
            let name = member.0.clone();
            let option = Self::deserialize(Value::Object(Map::from_iter([member])));
            let option = option.map_err(|why| de::Error::custom(format!("{name}: {why}")))?;
            Ok(option.or(options))
        })
    }
}

/// Values that are written as text. Numbers and booleans are read too.
mod text {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let parsed = match &value {
            Value::Null => return Ok(None),
            Value::String(text) => text.parse(),
            other => other.to_string().parse(),
        };
        let parsed = parsed.map_err(|why| de::Error::custom(format!("{why}, not {value}")));
        parsed.map(Some)
    }

    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(T::to_string).serialize(serializer)
    }
}

fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    /// `bool` with our words for what it can be.
    struct Switch(bool);

    impl FromStr for Switch {
        type Err = &'static str;

        fn from_str(text: &str) -> Result<Self, Self::Err> {
            text.parse().map(Self).map_err(|_| "it is true or false")
        }
    }
    Ok(text::deserialize(deserializer)?.map(|Switch(is_on)| is_on))
}

/// A person's request to render a song with other options. It replaces all earlier requests for the song.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// When it was made, in Unix milliseconds. The latest request decides.
    pub at: u64,
    /// The options that differ from the usual ones; none to return to those.
    pub options: RenderOptions,
}

impl RenderRequest {
    /// The options of a song that is usually rendered with `usual`.
    pub fn apply_to(&self, usual: Options) -> Options {
        Options {
            render: self.options.or(usual.render),
            requested_at: Some(self.at),
            ..usual
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: &str = r#"{"tempo":"~92.5","meter":"3/4","downbeat":1.23,"steady":true,"key":"Ebm","split":true,"quantize":"1/16","quantizeStrength":0.5}"#;

    fn read(json: &str) -> RenderOptions {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn options_replace_others_one_by_one() {
        let all = read(ALL);
        let written = serde_json::to_value(all).unwrap();
        assert_eq!(RenderOptions::default().or(all), all);
        assert_eq!(
            all.or(read(r#"{"tempo":"off","steady":false,"quantizeStrength":1}"#)),
            all
        );
        for (name, value) in [
            ("tempo", "\"auto\""),
            ("meter", "\"6/8\""),
            ("downbeat", "0.0"),
            ("steady", "false"),
            ("key", "\"C\""),
            ("split", "false"),
            ("quantize", "\"off\""),
            ("quantizeStrength", "0.0"),
        ] {
            let changed = read(&format!(r#"{{"{name}":{value}}}"#)).or(all);
            let mut expected = written.clone();
            expected[name] = serde_json::from_str(value).unwrap();
            assert_eq!(serde_json::to_value(changed).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn json_holds_what_is_asked_for() {
        assert_eq!(serde_json::to_string(&read(ALL)).unwrap(), ALL);
        assert!(!read(ALL).is_empty() && read(r#"{"key":null}"#).is_empty());
        assert_eq!(serde_json::to_string(&RenderOptions::default()).unwrap(), "{}");
        let as_values = read(r#"{"tempo":92,"steady":"true","quantizeStrength":"0.5"}"#);
        assert_eq!(
            serde_json::to_string(&as_values).unwrap(),
            r#"{"tempo":"92","steady":true,"quantizeStrength":0.5}"#
        );
    }

    #[test]
    fn a_request_says_when_it_was_made() {
        let request: RenderRequest = serde_json::from_str(r#"{"at":7,"options":{"steady":true}}"#).unwrap();
        let options = request.apply_to(read(r#"{"key":"C","steady":false}"#).into());
        let expected = Options {
            requested_at: Some(7),
            ..read(r#"{"key":"C","steady":true}"#).into()
        };
        assert_eq!(options, expected);
        for (json, words) in [
            (r#"{"at":-7,"options":{}}"#, "invalid value"),
            (r#"{"options":{}}"#, "`at`"),
            (r#"{"at":7}"#, "`options`"),
            (r#"{"at":7,"options":{},"key":"C"}"#, "`key`"),
        ] {
            let error = serde_json::from_str::<RenderRequest>(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_error_names_the_member() {
        for (json, words) in [
            (r#"{"bpm":92}"#, "bpm: unknown field `bpm`, expected one of `tempo`, "),
            (r#"{"tempo":"fast"}"#, "tempo: the tempo must be"),
            (r#"{"meter":"4/3"}"#, "meter: a metre is"),
            (r#"{"downbeat":-1}"#, "downbeat: a downbeat is"),
            (r#"{"downbeat":1e300}"#, "downbeat: a downbeat is"),
            (r#"{"steady":"yes"}"#, "steady: it is true or false, not \"yes\""),
            (r#"{"key":"H"}"#, "key: a key is"),
            (r#"{"split":[1]}"#, "split: it is true or false, not [1]"),
            (r#"{"quantize":"1/17"}"#, "quantize: notes are quantized to"),
            (r#"{"quantizeStrength":2}"#, "quantizeStrength: the strength"),
        ] {
            let error = serde_json::from_str::<RenderOptions>(json).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn a_strength_needs_a_grid_where_nothing_else_gives_one() {
        assert_eq!(ALL.parse(), Ok(read(ALL)));
        assert_eq!("{}".parse(), Ok(RenderOptions::default()));
        for bad in [
            r#"{"quantizeStrength":0.5}"#,
            r#"{"quantizeStrength":0.5,"quantize":"off"}"#,
        ] {
            let error = bad.parse::<RenderOptions>().unwrap_err().to_string();
            assert_eq!(
                error,
                "quantizeStrength: it needs quantize, the grid to which notes move"
            );
            assert!(!read(bad).is_empty(), "a request is merged with the stack's options");
        }
        for bad in ["", "[]", "92", r#"{"split":1}"#] {
            assert!(bad.parse::<RenderOptions>().is_err(), "{bad}");
        }
    }
}
