//! An archived body → the result document and the files (pure).
//!
//! This is all that happens to a song; the renderer Lambda and the command line only bring the
//! body and carry the outcome away. Nothing here knows a clock: the same body gives the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    TaskId,
    format::{
        midi::{Plan, overlaps::Resolved, smf},
        piano_roll,
    },
    music::{
        instruments::Sound,
        tempo::{Tempo, TempoChoice},
    },
    provider::callback::{self, Callback},
    score::{self, Repair, Score, Skip},
};

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is a MIDI file with notes.
    Rendered,
    /// The transcription succeeded without a usable note; there is a MIDI file without notes.
    Empty,
    /// The provider could not do it; there is no MIDI file.
    Failed,
    /// The body is not readable as a callback; there is no MIDI file.
    Invalid,
    /// A callback of another product of the provider; there is no MIDI file.
    Unsupported,
}

impl State {
    /// The state as it is written in the result document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rendered => "rendered",
            Self::Empty => "empty",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
        }
    }
}

/// The outcome: a document for programs, and the files for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendering {
    /// What happened.
    pub document: Document,
    /// The Standard MIDI File, where the state has one.
    pub midi: Option<Vec<u8>>,
    /// The piano roll (SVG), where the state has a MIDI file.
    pub piano_roll: Option<String>,
}

/// The result document, `midi/<taskId>.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The version of this document's form: 1.
    pub version: u32,
    /// The provider's id of the task.
    pub task_id: TaskId,
    /// How the task ended.
    pub state: State,
    /// The body that decided; absent where it was not read from the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The keys of what was written, this document's among them.
    pub files: Files,
    /// The provider's words, if `state` is `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The song, if there is a MIDI file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub song: Option<SongSummary>,
    /// What a person should know, in English.
    pub warnings: Vec<String>,
}

/// The keys of a result's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Files {
    /// The result document.
    pub document: String,
    /// The Standard MIDI File.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub midi: Option<String>,
    /// The piano roll (SVG).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub piano_roll: Option<String>,
}

impl Files {
    /// The keys of a task, with or without a song.
    fn of(task_id: &TaskId, song: bool) -> Self {
        let key = |extension| format!("{RESULTS}{task_id}.{extension}");
        Self {
            document: key("json"),
            midi: song.then(|| key("mid")),
            piano_roll: song.then(|| key("svg")),
        }
    }
}

/// Where a body came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its key in the bucket.
    pub key: String,
    /// When the provider sent it, in Unix seconds; if that is not recorded, when it was stored.
    pub webhook_timestamp: u64,
}

/// The provider's report of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The provider's code, if it sent a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The provider's message, at most 1,000 characters of it.
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
    /// Whether it was inferred from the notes; else it was asked for, or is the default of 120.
    pub inferred: bool,
    /// How sure the inference is, 0 to 1, also where it was not sure enough; absent where none was
    /// made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The first downbeat, at which bar lines begin, in seconds from the beginning of the audio.
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
    /// The MIDI port, from 0; other than 0 only with more than 15 melodic instruments.
    pub port: u8,
    /// How many notes the track has.
    pub notes: usize,
    /// How many notes were left out, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<Skip, usize>,
    /// How many notes were changed, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repaired: BTreeMap<Repair, usize>,
    /// Notes that end earlier, because the same key is struck again.
    #[serde(skip_serializing_if = "is_zero")]
    pub shortened: usize,
    /// Notes that became one with another of the same pitch and onset.
    #[serde(skip_serializing_if = "is_zero")]
    pub merged: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A message of the results queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// The bucket of the keys in `files` and `source`.
    pub bucket: String,
    /// The result document.
    #[serde(flatten)]
    pub document: Document,
}

/// Below the least of SQS's limits on a message, 256 KiB.
const MAX_ANNOUNCEMENT_BYTES: usize = 200_000;

/// The prefix of results in the bucket.
const RESULTS: &str = "midi/";

impl Rendering {
    fn without_files(document: Document) -> Self {
        Self {
            document,
            midi: None,
            piano_roll: None,
        }
    }
}

impl Document {
    fn new(task_id: &TaskId, source: Option<Source>, state: State, warnings: Vec<String>) -> Self {
        Self {
            version: 1,
            task_id: task_id.clone(),
            state,
            source,
            files: Files::of(task_id, matches!(state, State::Rendered | State::Empty)),
            failure: None,
            song: None,
            warnings,
        }
    }

    /// The document as it is stored: JSON for people too, with a line break at its end.
    pub fn to_json(&self) -> Vec<u8> {
        // Serializing these plain structs to memory has no way to fail.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// What is announced on the results queue: this document and the bucket of its keys; without its
    /// instruments where all of them would not fit into a message.
    pub fn announcement(&self, bucket: &str) -> Announcement {
        let mut document = self.clone();
        let fits = self.to_json().len() <= MAX_ANNOUNCEMENT_BYTES;
        if let (false, Some(song)) = (fits, &mut document.song) {
            song.instruments.clear();
            document.warnings =
                vec!["the instruments are left out here for their number: read the document".to_owned()];
        }
        Announcement {
            bucket: bucket.to_owned(),
            document,
        }
    }
}

/// Renders a body.
///
/// Never fails: what cannot be rendered has a state that says so.
///
/// ```
/// use suno_midi::{music::tempo::TempoChoice, document::{State, render}};
///
/// let body = br#"{"code": 200, "data": {"instruments": [
///     {"name": "Drums", "notes": [{"pitch": 38, "start": 0.5, "end": "0.75", "velocity": 1}]}
/// ]}}"#;
/// let rendering = render(&"5c79".parse()?, None, body, TempoChoice::Auto);
/// assert_eq!(rendering.document.state, State::Rendered);
/// assert!(rendering.midi.unwrap().starts_with(b"MThd"));
/// # Ok::<(), suno_midi::UnfitTaskId>(())
/// ```
pub fn render(task_id: &TaskId, source: Option<Source>, body: &[u8], tempo: TempoChoice) -> Rendering {
    let document = |state, warnings| Document::new(task_id, source, state, warnings);
    match callback::read(body) {
        Ok(Callback::Song(parts)) => {
            let score = Score::new(&parts);
            let plan = Plan::new(&score, Tempo::choose(&score, tempo));
            let body_sha256: [u8; 32] = Sha256::digest(body).into();
            let file = smf::write(task_id.as_str(), &body_sha256, &score, &plan);
            let song = SongSummary::new(&score, &plan, &file.resolved);
            let state = if song.notes == 0 { State::Empty } else { State::Rendered };
            let document = Document {
                song: Some(song),
                ..document(state, warnings(&score, &plan))
            };
            let mut piano_roll = piano_roll::draw(task_id.as_str(), &score, &plan);
            // As in the MIDI file: no two bodies give the same bytes.
            piano_roll += &format!("<!-- made of the body with the SHA-256 {} -->\n", hex(&body_sha256));
            Rendering {
                document,
                midi: Some(file.bytes),
                piano_roll: Some(piano_roll),
            }
        }
        Ok(Callback::Failed { code, message }) => {
            let message = score::plain(&message, 1000);
            let document = Document {
                failure: Some(Failure { code, message }),
                ..document(State::Failed, Vec::new())
            };
            Rendering::without_files(document)
        }
        Ok(Callback::Unsupported) => {
            let warning = "this is a callback of another product of the provider: kept, not rendered".to_owned();
            Rendering::without_files(document(State::Unsupported, vec![warning]))
        }
        Err(unreadable) => Rendering::without_files(document(State::Invalid, vec![unreadable.to_string()])),
    }
}

/// The result of a body that could not be read; `why` is for people.
pub fn unread(task_id: &TaskId, source: Source, why: String) -> Rendering {
    Rendering::without_files(Document::new(task_id, Some(source), State::Invalid, vec![why]))
}

impl SongSummary {
    fn new(score: &Score, plan: &Plan, resolved: &[Resolved]) -> Self {
        let instruments: Vec<InstrumentSummary> = score
            .instruments
            .iter()
            .zip(&plan.tracks)
            .zip(resolved)
            .map(|((instrument, track), resolved)| InstrumentSummary {
                name: instrument.name.clone(),
                plays_as: track.sound.name(),
                known: track.known,
                program: track.sound.program(),
                channel: track.channel.number + 1,
                port: track.channel.port,
                notes: instrument.notes.len() - resolved.merged,
                skipped: instrument.skipped.clone(),
                repaired: instrument.repaired.clone(),
                shortened: resolved.shortened,
                merged: resolved.merged,
            })
            .collect();
        Self {
            seconds: rounded(score.seconds(), 1e6),
            notes: instruments.iter().map(|instrument| instrument.notes).sum(),
            tempo: TempoSummary {
                bpm: rounded(plan.tempo.bpm(), 1e3),
                inferred: plan.tempo.inferred,
                confidence: plan.tempo.confidence.map(|confidence| rounded(confidence, 1e3)),
                downbeat: rounded(plan.tempo.downbeat(), 1e6),
            },
            instruments,
        }
    }

    /// How many notes were left out.
    pub fn skipped(&self) -> usize {
        self.instruments
            .iter()
            .flat_map(|instrument| instrument.skipped.values())
            .sum()
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rounded(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}

fn warnings(score: &Score, plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    if score.instruments.is_empty() {
        warnings.push("the provider found no instruments".to_owned());
    }
    for (instrument, track) in score.instruments.iter().zip(&plan.tracks) {
        let name = &instrument.name;
        if !track.known {
            warnings.push(format!(
                "\"{name}\" is no instrument known here; it plays as {}",
                Sound::DEFAULT.name()
            ));
        }
        let skipped: usize = instrument.skipped.values().sum();
        if skipped > 0 {
            warnings.push(format!(
                "{skipped} of the notes of \"{name}\" cannot be held by a MIDI file and were left out"
            ));
        }
    }
    warnings
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn state(body: &str) -> (State, bool) {
        let rendering = render(&"t".parse().unwrap(), None, body.as_bytes(), TempoChoice::Auto);
        (rendering.document.state, rendering.midi.is_some())
    }

    #[test]
    fn each_kind_of_body_ends_in_its_state() {
        let note = r#"{"pitch":60,"start":0,"end":1,"velocity":1}"#;
        assert_eq!(
            state(&format!(
                r#"{{"code":200,"data":{{"instruments":[{{"notes":[{note}]}}]}}}}"#
            )),
            (State::Rendered, true)
        );
        assert_eq!(
            state(r#"{"code":200,"data":{"instruments":[{"notes":[{"pitch":200}]}]}}"#),
            (State::Empty, true)
        );
        assert_eq!(
            state(r#"{"code":200,"data":{"instruments":null}}"#),
            (State::Empty, true)
        );
        assert_eq!(state(r#"{"code":500,"msg":"no","data":null}"#), (State::Failed, false));
        assert_eq!(
            state(r#"{"code":200,"data":{"audioWavUrl":"u"}}"#),
            (State::Unsupported, false)
        );
        assert_eq!(state("nonsense"), (State::Invalid, false));
    }

    #[test]
    fn what_is_not_as_sent_is_counted() {
        let body = br#"{"data":{"instruments":[{"name":"Xyzzy","notes":[
            {"pitch":60,"start":0,"end":2,"velocity":1}, {"pitch":60,"start":1,"end":2,"velocity":1},
            {"pitch":60,"start":1,"end":2,"velocity":1}, {"pitch":60,"start":3,"end":3,"velocity":1}, {"pitch":-1}]}]}}"#;
        let document = render(&"t".parse().unwrap(), None, body, TempoChoice::Auto).document;
        let song = document.song.unwrap();
        let instrument = &song.instruments[0];
        assert_eq!((song.notes, song.seconds), (3, 3.0));
        assert_eq!(
            (instrument.shortened, instrument.merged, instrument.known),
            (1, 1, false)
        );
        assert_eq!(instrument.skipped, BTreeMap::from([(Skip::PitchOutOfRange, 1)]));
        assert_eq!(instrument.repaired, BTreeMap::from([(Repair::ZeroLength, 1)]));
        assert_eq!(document.warnings.len(), 2);
    }
}
