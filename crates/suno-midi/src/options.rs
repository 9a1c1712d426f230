//! What the files of a song should be like, and what overrides it for one song.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::{
    format::{
        Outputs,
        midi::quantize::{Quantize, Strength},
    },
    music::{
        choices::{Choices, TempoChoice, downbeat},
        grid::Meter,
        key::Key,
    },
};

/// What a song's files should be like.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// What the musician decides.
    pub choices: Choices,
    /// Which files there are beside the MIDI file.
    pub outputs: Outputs,
    /// When these options were asked for, in Unix milliseconds; `None` if songs usually have them. Each file embeds it, so
    /// that no two requests give the same bytes.
    pub asked_at: Option<u64>,
}

/// What is asked for one song, in place of the [`Options`] that songs usually have. What is `None` stays as it usually
/// is.
///
/// As JSON it is an object with the members that are asked for. A value may be a text or the number or boolean that the
/// text means.
///
/// ```
/// use suno_midi::{Options, Overrides};
///
/// let asked: Overrides = serde_json::from_str(r#"{"tempo": 92, "meter": "3/4", "split": true}"#)?;
/// let options = asked.over(Options::default());
/// assert_eq!(options.choices.tempo, "92".parse()?);
/// assert!(options.outputs.split);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overrides {
    /// The tempo.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub tempo: Option<TempoChoice>,
    /// The metre.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub meter: Option<Meter>,
    /// A downbeat, in seconds from the beginning of the audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downbeat: Option<f64>,
    /// One tempo for the whole song.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steady: Option<bool>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub key: Option<Key>,
    /// A MIDI file for each instrument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<bool>,
    /// A MIDI file with quantized notes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub quantize: Option<Quantize>,
    /// How far the notes of the quantized file move.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    pub quantize_strength: Option<Strength>,
}

/// A musician's request to render a song with other options. It replaces all earlier requests for the song.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// When, in Unix milliseconds. Of two requests the later one decides.
    pub at: u64,
    /// What is asked for. With nothing in it, the request asks for what is usual.
    pub options: Overrides,
}

impl Asked {
    /// These options, except for what is asked for.
    pub fn over(&self, options: Options) -> Options {
        Options {
            asked_at: Some(self.at),
            ..self.options.over(options)
        }
    }
}

impl FromStr for Overrides {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(json)
    }
}

impl Overrides {
    /// These options, except for what is asked for.
    pub fn over(&self, options: Options) -> Options {
        let Options { choices, outputs, .. } = options;
        Options {
            choices: Choices {
                tempo: self.tempo.unwrap_or(choices.tempo),
                meter: self.meter.or(choices.meter),
                downbeat: self.downbeat.or(choices.downbeat),
                steady: self.steady.unwrap_or(choices.steady),
                key: self.key.or(choices.key),
            },
            outputs: Outputs {
                split: self.split.unwrap_or(outputs.split),
                quantize: self.quantize.unwrap_or(outputs.quantize),
                strength: self.quantize_strength.unwrap_or(outputs.strength),
                ..outputs
            },
            ..options
        }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<'de> Deserialize<'de> for Overrides {
    /// Fails for a member that there is not, and for a value that is not allowed. The error names the member.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let mut asked = Self::default();
        for (name, value) in &members {
            let parsed = match name.as_str() {
                "tempo" => set(&mut asked.tempo, value, str::parse),
                "meter" => set(&mut asked.meter, value, str::parse),
                "downbeat" => set(&mut asked.downbeat, value, downbeat),
                "steady" => set(&mut asked.steady, value, true_or_false),
                "key" => set(&mut asked.key, value, str::parse),
                "split" => set(&mut asked.split, value, true_or_false),
                "quantize" => set(&mut asked.quantize, value, str::parse),
                "quantizeStrength" => set(&mut asked.quantize_strength, value, str::parse),
                _ => Err("there is no such option".to_owned()),
            };
            parsed.map_err(|why| de::Error::custom(format!("{name}: {why}")))?;
        }
        Ok(asked)
    }
}

fn set<T, E: fmt::Display>(
    member: &mut Option<T>,
    value: &Value,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<(), String> {
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    *member = Some(parse(&text).map_err(|why| format!("{why}, not {value}"))?);
    Ok(())
}

fn true_or_false(text: &str) -> Result<bool, &'static str> {
    bool::from_str(text).map_err(|_| "it is true or false")
}

fn as_text<T: fmt::Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(ToString::to_string).serialize(serializer)
}

fn as_number<S: Serializer>(strength: &Option<Strength>, serializer: S) -> Result<S::Ok, S::Error> {
    strength.map(Strength::get).serialize(serializer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: &str = r#"{"tempo":"~92.5","meter":"3/4","downbeat":1.23,"steady":true,"key":"Ebm","split":true,"quantize":"1/16","quantizeStrength":0.5}"#;

    #[test]
    fn what_is_asked_for_replaces_what_is_usual_and_nothing_else() {
        let asked: Overrides = serde_json::from_str(ALL).unwrap();
        let options = asked.over(Options::default());
        assert_eq!(
            options,
            Options {
                choices: Choices {
                    tempo: TempoChoice::Near(92.5),
                    meter: Some(Meter::simple(3)),
                    downbeat: Some(1.23),
                    steady: true,
                    key: Some("Ebm".parse().unwrap()),
                },
                outputs: Outputs {
                    split: true,
                    quantize: Quantize::Sixteenths,
                    strength: "0.5".parse().unwrap(),
                    ..Outputs::default()
                },
                asked_at: None,
            }
        );
        assert_eq!(Overrides::default().over(options), options);
        let off: Overrides =
            serde_json::from_str(r#"{"tempo":"auto","steady":false,"split":false,"quantize":"off","key":null}"#)
                .unwrap();
        let back = off.over(options);
        assert_eq!(back.choices.tempo, TempoChoice::Auto);
        assert!(!back.choices.steady && !back.outputs.split);
        assert_eq!(back.outputs.quantize, Quantize::Off);
        assert_eq!(
            (back.choices.key, back.choices.meter),
            (options.choices.key, options.choices.meter)
        );
    }

    #[test]
    fn json_holds_what_is_asked_for() {
        let asked: Overrides = serde_json::from_str(ALL).unwrap();
        assert_eq!(serde_json::to_string(&asked).unwrap(), ALL);
        assert!(!asked.is_empty() && Overrides::default().is_empty());
        assert_eq!(serde_json::to_string(&Overrides::default()).unwrap(), "{}");
        let as_values: Overrides =
            serde_json::from_str(r#"{"tempo":92,"steady":"true","quantizeStrength":"0.5"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&as_values).unwrap(),
            r#"{"tempo":"92","steady":true,"quantizeStrength":0.5}"#
        );
    }

    #[test]
    fn a_request_says_when_it_was_made() {
        let asked: Asked = serde_json::from_str(r#"{"at":7,"options":{"steady":true}}"#).unwrap();
        let options = asked.over(Options::default());
        assert_eq!((options.asked_at, options.choices.steady), (Some(7), true));
        for (json, words) in [
            (r#"{"at":-7,"options":{}}"#, "invalid value"),
            (r#"{"options":{}}"#, "`at`"),
            (r#"{"at":7}"#, "`options`"),
            (r#"{"at":7,"options":{},"key":"C"}"#, "`key`"),
        ] {
            let error = serde_json::from_str::<Asked>(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_error_names_the_member() {
        for (json, words) in [
            (r#"{"bpm":92}"#, "bpm: there is no such option"),
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
            let error = serde_json::from_str::<Overrides>(json).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
