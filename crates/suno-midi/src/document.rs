//! The result document: what happened to a task, for programs.
//!
//! Its JSON form is specified in `docs/result.schema.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    TaskId,
    format::{self, Format, midi},
    music::Song,
    score::{Repair, Skip},
};

/// What became of a task, as its body tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is a MIDI file with notes.
    Rendered,
    /// The transcription succeeded without a usable note. There is a MIDI file without notes.
    Empty,
    /// The provider could not transcribe the song. There is no MIDI file.
    Failed,
    /// The task had not finished: the body is a record-info answer that was saved too early. There is no MIDI file.
    Pending,
    /// The body is missing, too large, or not readable as a callback. There is no MIDI file.
    Invalid,
    /// The callback belongs to another product of the provider. There is no MIDI file.
    Unsupported,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Rendered,
        Self::Empty,
        Self::Failed,
        Self::Pending,
        Self::Invalid,
        Self::Unsupported,
    ];

    /// The state as it is written in the result document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rendered => "rendered",
            Self::Empty => "empty",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a task in this state has a MIDI file and the other files of a song.
    pub fn has_song(self) -> bool {
        matches!(self, Self::Rendered | Self::Empty)
    }
}

/// The result document, `midi/<taskId>.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The version of the document format: 1.
    pub version: u32,
    /// The provider's id of the task.
    pub task_id: TaskId,
    /// What became of the task.
    pub state: State,
    /// The body that the result was made from; absent if it did not come from the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The object names of the result, by [`Format::name`]; this document is one of them.
    pub files: BTreeMap<&'static str, String>,
    /// What the provider said, if `state` is `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The song, if there is a MIDI file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub song: Option<SongSummary>,
    /// What a person should know, in English.
    pub warnings: Vec<String>,
}

/// Where a body came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its object name.
    #[serde(rename = "key")]
    pub object: String,
    /// When the provider sent it, in Unix seconds; if that is not recorded, when it was stored.
    pub webhook_timestamp: u64,
}

/// The provider's report of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The provider's code, if it sent a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The first 1,000 characters of the provider's message.
    pub message: String,
}

/// What is in the MIDI file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SongSummary {
    /// The end of the last note, in seconds.
    pub seconds: f64,
    /// How many notes the file has.
    pub notes: usize,
    /// The file's tempo.
    pub tempo: TempoSummary,
    /// The instruments, in the order of the file's tracks.
    pub instruments: Vec<InstrumentSummary>,
}

/// The tempo of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TempoSummary {
    /// Quarter notes per minute.
    pub bpm: f64,
    /// Whether it was inferred from the notes. If not, it was asked for, or it is the default of 120.
    pub inferred: bool,
    /// How sure the inference is, 0 to 1, even if the result was not used; absent if no tempo was inferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The first downbeat, where bar lines begin, in seconds from the beginning of the audio.
    pub downbeat: f64,
}

/// One instrument, and so one track of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstrumentSummary {
    /// The name as sent.
    pub name: String,
    /// The General MIDI name of what it plays as.
    pub plays_as: &'static str,
    /// Whether the name was recognised.
    pub known: bool,
    /// The General MIDI program, 0 to 127 (a musician's number minus one).
    pub program: u8,
    /// The MIDI channel as musicians count, 1 to 16; 10 is drums.
    pub channel: u8,
    /// The MIDI port, from 0. Above 0 only with more than 15 melodic instruments.
    pub port: u8,
    /// How many notes the track has.
    pub notes: usize,
    /// How many notes were left out, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<Skip, usize>,
    /// How many notes were changed, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repaired: BTreeMap<Repair, usize>,
    /// How many notes end earlier than sent, because a note of the same pitch begins.
    #[serde(skip_serializing_if = "is_zero")]
    pub shortened: usize,
    /// How many notes were merged into another note of the same pitch and onset.
    #[serde(skip_serializing_if = "is_zero")]
    pub merged: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The prefix of the object names of results.
const RESULTS: &str = "midi/";

/// The object name of a result: `midi/<taskId>.<extension>`.
fn object_name(task_id: &TaskId, format: Format) -> String {
    format!("{RESULTS}{task_id}.{}", format.extension)
}

impl Document {
    /// The document of a task. `files` are those of the song; the document itself is added to them.
    pub fn new(task_id: &TaskId, state: State, files: impl IntoIterator<Item = Format>) -> Self {
        let files = files.into_iter().chain([format::DOCUMENT]);
        Self {
            version: 1,
            task_id: task_id.clone(),
            state,
            source: None,
            files: files
                .map(|format| (format.name, object_name(task_id, format)))
                .collect(),
            failure: None,
            song: None,
            warnings: Vec::new(),
        }
    }

    /// The object name of a file of this result; `None` if the result has no such file.
    pub fn object(&self, format: Format) -> Option<&str> {
        self.files.get(format.name).map(String::as_str)
    }

    /// The document as it is stored: indented JSON that ends with a line break.
    pub fn to_json(&self) -> Vec<u8> {
        // Serializing these plain structs to memory cannot fail.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

impl SongSummary {
    /// Summarizes a song whose MIDI file has these tracks.
    pub(crate) fn new(song: &Song, tracks: &[midi::Track]) -> Self {
        let instruments: Vec<InstrumentSummary> = song
            .parts()
            .zip(tracks)
            .map(|((instrument, voice), track)| InstrumentSummary {
                name: instrument.name.clone(),
                plays_as: voice.sound.name(),
                known: voice.known,
                program: voice.sound.program(),
                channel: track.channel.number + 1,
                port: track.channel.port,
                notes: track.notes.len(),
                skipped: instrument.skipped.clone(),
                repaired: instrument.repaired.clone(),
                shortened: track.resolved.shortened,
                merged: track.resolved.merged,
            })
            .collect();
        Self {
            seconds: rounded(song.score.seconds(), 1e6),
            notes: instruments.iter().map(|instrument| instrument.notes).sum(),
            tempo: TempoSummary {
                bpm: rounded(song.tempo.bpm(), 1e3),
                inferred: song.tempo.inferred,
                confidence: song.tempo.confidence.map(|confidence| rounded(confidence, 1e3)),
                downbeat: rounded(song.tempo.downbeat(), 1e6),
            },
            instruments,
        }
    }

    /// How many notes were left out.
    pub fn skipped(&self) -> usize {
        let instruments = self.instruments.iter();
        instruments.flat_map(|instrument| instrument.skipped.values()).sum()
    }
}

fn rounded(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_name() {
        for state in State::ALL {
            assert_eq!(State::named(state.name()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        assert_eq!(State::named("Rendered"), None);
    }

    #[test]
    fn a_document_names_its_files() {
        let task_id = "5c79".parse().unwrap();
        let document = Document::new(&task_id, State::Empty, [format::MIDI, format::PIANO_ROLL]);
        assert_eq!(document.object(format::MIDI), Some("midi/5c79.mid"));
        assert_eq!(document.object(format::PIANO_ROLL), Some("midi/5c79.svg"));
        assert_eq!(document.object(format::DOCUMENT), Some("midi/5c79.json"));
        assert_eq!(Document::new(&task_id, State::Failed, []).object(format::MIDI), None);
    }

    #[test]
    fn a_document_is_indented_json_without_absent_members() {
        let document = Document {
            source: Some(Source {
                object: "raw/5c79/a.json".to_owned(),
                webhook_timestamp: 7,
            }),
            failure: Some(Failure {
                code: None,
                message: "no".to_owned(),
            }),
            ..Document::new(&"5c79".parse().unwrap(), State::Failed, [])
        };
        let expected = r#"{
  "version": 1,
  "taskId": "5c79",
  "state": "failed",
  "source": {
    "key": "raw/5c79/a.json",
    "webhookTimestamp": 7
  },
  "files": {
    "document": "midi/5c79.json"
  },
  "failure": {
    "message": "no"
  },
  "warnings": []
}
"#;
        assert_eq!(String::from_utf8(document.to_json()).unwrap(), expected);
    }
}
