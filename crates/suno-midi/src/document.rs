//! The result document: what happened to a task, for programs.
//!
//! Its JSON form is specified in `docs/result.schema.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    RenderRequest, TaskId,
    format::{self, Format, midi},
    instruments::{Sound, Voice},
    music::{
        Song,
        grid::TempoChange,
        key::{KeyEstimate, pitch_name},
        tempo::Tempo,
    },
    score::{Repair, Skip},
    text,
};

/// The outcome of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is a MIDI file with notes.
    Rendered,
    /// The body says that the transcription found no notes. There is a MIDI file without notes.
    Empty,
    /// The body is about a transcription and does not say that it found no notes, but this version finds none in it. There
    /// is no MIDI file.
    Unreadable,
    /// The provider could not transcribe the song. There is no MIDI file.
    Failed,
    /// The task had not finished: the body is a record-info answer that was saved too early. There is no MIDI file.
    Pending,
    /// The body is missing, too large, or no callback. There is no MIDI file.
    Invalid,
    /// The callback belongs to another product of the provider. There is no MIDI file.
    Unsupported,
    /// The task was watched until the provider deletes its data, and had no result. There is no MIDI file.
    Expired,
    /// The provider does not know the task. There is no MIDI file.
    Unknown,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Rendered,
        Self::Empty,
        Self::Unreadable,
        Self::Failed,
        Self::Pending,
        Self::Invalid,
        Self::Unsupported,
        Self::Expired,
        Self::Unknown,
    ];

    /// The state as it is written in the result document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rendered => "rendered",
            Self::Empty => "empty",
            Self::Unreadable => "unreadable",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
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
    /// The outcome of the task.
    pub state: State,
    /// The body of the result; absent if it did not come from the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The object names of the result, by [`Format::name`]; this document is one of them.
    pub files: BTreeMap<&'static str, String>,
    /// What the provider said, if `state` is `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The other product, if `state` is `unsupported` and the body tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The names of the body's members, with their places, if `state` is `unreadable`: its shape, without its values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// The song, if there is a MIDI file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub song: Option<SongSummary>,
    /// What a person should know, in English.
    pub warnings: Vec<String>,
}

/// Where a body came from, and the request for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its object name.
    #[serde(rename = "key")]
    pub object: String,
    /// When the provider sent it, in Unix seconds; if that is not recorded, when it was stored.
    pub webhook_timestamp: u64,
    /// Whether it is certainly the provider's.
    #[serde(default)]
    pub authenticated: bool,
    /// Why, in English.
    #[serde(default)]
    pub reason: String,
    /// The request that the result answers; absent if the song has the usual options.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "asked")]
    pub request: Option<RenderRequest>,
}

impl Source {
    /// The body of this name. The signature of a callback does not cover its body, so only an answer of the provider is
    /// certainly genuine.
    pub fn new(object: String, webhook_timestamp: u64, asked_for: bool) -> Self {
        let reason = if asked_for {
            "midihook asked the provider for it"
        } else {
            "a callback's body is not signed, and the provider was not asked whether it is right"
        };
        Self {
            object,
            webhook_timestamp,
            authenticated: asked_for,
            reason: reason.to_owned(),
            request: None,
        }
    }
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
    /// The file's key; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeySummary>,
    /// The instruments, in the order of the file's tracks.
    pub instruments: Vec<InstrumentSummary>,
}

/// The tempo of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TempoSummary {
    /// Quarter notes per minute, of most of the song.
    pub bpm: f64,
    /// Whether it was inferred from the notes. If not, it was requested, or it is the default of 120.
    pub inferred: bool,
    /// The probability that the beats are the song's, even if they were not used; absent if none were inferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The same for the bars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidences: Option<ConfidenceSummary>,
    /// The first downbeat, where bar lines begin, in seconds from the beginning of the audio.
    pub downbeat: f64,
    /// The metre of most bars: `4/4`.
    pub meter: String,
    /// Where between two beats the off-beat falls if it is swung, 0.5 to 0.75: 0.667 is a triplet. Absent if it is straight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swing: Option<f64>,
    /// How many beats the file has up to the end of the last note.
    pub beats: usize,
    /// The tempo changes of the file. The first is at the beginning of the audio.
    pub map: Vec<TempoChangeSummary>,
}

/// How sure the inference of the bars is, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfidenceSummary {
    /// That bars begin where they do.
    pub downbeat: f64,
    /// That the metre is right.
    pub meter: f64,
}

/// A tempo change of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TempoChangeSummary {
    /// Where, in seconds from the beginning of the audio.
    pub seconds: f64,
    /// Quarter notes per minute.
    pub bpm: f64,
}

/// The key of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeySummary {
    /// The key as chord symbols name it: `Eb`, `F#m`.
    pub name: String,
    /// The name of its tonic: `Eb`, `F#`.
    pub tonic: &'static str,
    /// `major` or `minor`.
    pub mode: &'static str,
    /// How many sharps its signature has, -7 to 7; flats count negative.
    pub signature: i8,
    /// Whether it was inferred from the notes. If not, it was requested.
    pub inferred: bool,
    /// The probability that the signature is right, 0.8 to 1; absent if the key was not inferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The probability that the mode is right if the signature is, 0.5 to 1; absent if the key was not inferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode_confidence: Option<f64>,
}

/// The lowest and the highest note of an instrument, spelled by the key ([`pitch_name`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The name of the lowest note, with its octave; middle C is `C4`.
    pub lowest: String,
    /// The name of the highest note.
    pub highest: String,
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
    /// The object name of its own MIDI file; absent if the song was not split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its lowest and highest note; absent without notes, and for drums, whose pitches name drums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
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
pub const RESULTS: &str = "midi/";

/// The object name of a result: `midi/<taskId>.mid`, `midi/<taskId>/quantized.mid`.
pub fn object_name(task_id: &TaskId, format: Format) -> String {
    format!("{RESULTS}{task_id}{}", format.suffix)
}

/// The longest name of an instrument in an object name, in characters.
const MAX_SLUG: usize = 40;

impl InstrumentSummary {
    /// Gives the instrument a MIDI file of its own: `midi/<taskId>/01-electric-bass-finger.mid`. `number` counts from 1.
    /// Returns the object name.
    pub(crate) fn name_file(&mut self, task_id: &TaskId, number: usize) -> &str {
        let slugs = [self.name.as_str(), self.plays_as].map(|name| text::slug(name, MAX_SLUG));
        let slug = slugs.iter().find(|slug| !slug.is_empty()).map_or("", String::as_str);
        self.file.insert(format!("{RESULTS}{task_id}/{number:02}-{slug}.mid"))
    }
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
            product: None,
            members: Vec::new(),
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
                file: None,
                range: Range::of(track, voice, song.key),
                skipped: instrument.skipped.clone(),
                repaired: instrument.repaired.clone(),
                shortened: track.resolved.shortened,
                merged: track.resolved.merged,
            })
            .collect();
        Self {
            seconds: rounded(song.score.seconds(), 1e6),
            notes: instruments.iter().map(|instrument| instrument.notes).sum(),
            tempo: TempoSummary::of(&song.tempo, song.score.seconds()),
            key: song.key.map(KeySummary::of),
            instruments,
        }
    }

    /// How many notes were left out.
    pub fn skipped(&self) -> usize {
        let instruments = self.instruments.iter();
        instruments.flat_map(|instrument| instrument.skipped.values()).sum()
    }
}

impl TempoSummary {
    fn of(tempo: &Tempo, seconds: f64) -> Self {
        let change = |change: &TempoChange| TempoChangeSummary {
            seconds: rounded(change.seconds(), 1e6),
            bpm: rounded(60.0 / change.quarter_seconds(), 1e3),
        };
        Self {
            bpm: rounded(tempo.bpm(), 1e3),
            inferred: tempo.inferred,
            confidence: tempo.confidence.map(|confidence| rounded(confidence.beats, 1e3)),
            confidences: tempo.confidence.map(|confidence| ConfidenceSummary {
                downbeat: rounded(confidence.downbeat, 1e3),
                meter: rounded(confidence.meter, 1e3),
            }),
            downbeat: rounded(tempo.downbeat(), 1e6),
            meter: tempo.meter.to_string(),
            swing: tempo.swing.map(|swing| rounded(swing, 1e3)),
            beats: tempo.grid.beats_until(seconds).count(),
            map: tempo.grid.tempi().iter().map(change).collect(),
        }
    }
}

impl KeySummary {
    fn of(found: KeyEstimate) -> Self {
        let KeyEstimate { key, confidence } = found;
        Self {
            name: key.to_string(),
            tonic: key.tonic_name(),
            mode: key.mode_name(),
            signature: key.fifths(),
            inferred: confidence.is_some(),
            confidence: confidence.map(|confidence| rounded(confidence.signature, 1e3)),
            mode_confidence: confidence.map(|confidence| rounded(confidence.mode, 1e3)),
        }
    }
}

impl Range {
    fn of(track: &midi::Track, voice: Voice, key: Option<KeyEstimate>) -> Option<Self> {
        if voice.sound == Sound::Drums {
            return None;
        }
        let pitches = || track.notes.iter().map(|note| note.pitch);
        let name = |pitch| pitch_name(pitch, key.map(|found| found.key));
        Some(Self {
            lowest: name(pitches().min()?),
            highest: name(pitches().max()?),
        })
    }
}

fn rounded(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        options::{Key, RenderOptions},
        score::Score,
    };

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
    fn a_part_has_its_number_and_a_name_that_is_safe_and_never_empty() {
        let task_id = "5c79".parse().unwrap();
        let name = |number, name: &str| {
            let instrument = &mut summary(name, &[60], None).instruments[0];
            instrument.name_file(&task_id, number).to_owned()
        };
        assert_eq!(
            name(1, "Electric Bass (finger)"),
            "midi/5c79/01-electric-bass-finger.mid"
        );
        assert_eq!(name(12, "../鼓"), "midi/5c79/12-acoustic-grand-piano.mid");
        assert_eq!(name(128, ""), "midi/5c79/128-acoustic-grand-piano.mid");
    }

    fn summary(name: &str, pitches: &[u8], key: Option<Key>) -> SongSummary {
        let note = |&pitch: &u8| (f64::from(pitch), f64::from(pitch), f64::from(pitch) + 0.5);
        let notes: Vec<_> = pitches.iter().map(note).collect();
        let song = Song::new(
            Score::of(&[(name, &notes)]),
            &RenderOptions {
                key,
                ..RenderOptions::default()
            },
        );
        SongSummary::new(&song, &midi::tracks(&song))
    }

    #[test]
    fn a_range_has_names_that_the_key_spells() {
        let range = |name, pitches: &[u8], key: Option<&str>| {
            let key = key.map(|key| key.parse().unwrap());
            let range = summary(name, pitches, key).instruments[0].range.clone();
            range.map(|range| format!("{} {}", range.lowest, range.highest))
        };
        assert_eq!(range("Piano", &[70, 35, 61], Some("Gb")), Some("Cb2 Bb4".to_owned()));
        assert_eq!(range("Piano", &[70, 35, 61], None), Some("B1 Bb4".to_owned()));
        assert_eq!(range("Piano", &[60], None), Some("C4 C4".to_owned()));
        assert_eq!(range("Piano", &[], None), None);
        assert_eq!(range("Drums", &[36, 38], None), None);
    }

    #[test]
    fn a_chosen_key_has_no_confidence() {
        let key = |key| serde_json::to_value(summary("Piano", &[60], key).key).unwrap();
        assert_eq!(
            key(Some("Ebm".parse().unwrap())),
            serde_json::json!({
                "name": "Ebm", "tonic": "Eb", "mode": "minor", "signature": -6, "inferred": false,
            })
        );
        assert_eq!(key(None), serde_json::Value::Null);
    }

    #[test]
    fn a_document_is_indented_json_without_absent_members() {
        let document = Document {
            source: Some(Source::new("raw/5c79/a.json".to_owned(), 7, true)),
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
    "webhookTimestamp": 7,
    "authenticated": true,
    "reason": "midihook asked the provider for it"
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
