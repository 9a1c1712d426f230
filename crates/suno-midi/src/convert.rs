//! A body → the result document and the files of the song.

use std::borrow::Cow;

use crate::{
    Digest, TaskId,
    document::{Document, Failure, SongSummary, State},
    format::{self, File, Format, Label, midi},
    music::{Song, instruments::Sound, tempo::TempoChoice},
    provider::callback::{self, Callback},
    score::Score,
    text,
};

/// The longest message of the provider that a document quotes, in characters.
const MAX_MESSAGE: usize = 1000;

/// What became of a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What happened, for programs.
    pub document: Document,
    /// The files of the song, in the order in which they are published; none if the state has no song.
    pub files: Vec<File>,
}

impl Outcome {
    /// The file of this format, if there is one.
    pub fn file(&self, format: Format) -> Option<&File> {
        self.files.iter().find(|file| file.format == format)
    }

    /// The objects of the result with their names, in the order in which they must be published. The document comes last:
    /// where it is, the files are.
    pub fn objects(&self) -> impl Iterator<Item = (&str, Cow<'_, File>)> {
        let document = Cow::Owned(File {
            format: format::DOCUMENT,
            bytes: self.document.to_json(),
        });
        let files = self.files.iter().map(Cow::Borrowed).chain([document]);
        files.filter_map(|file| Some((self.document.object(file.format)?, file)))
    }

    /// The outcome of a body that could not be read; `why` becomes a warning of the document.
    pub fn unread(task_id: &TaskId, why: String) -> Self {
        Self::without_song(task_id, State::Invalid, why)
    }

    fn without_song(task_id: &TaskId, state: State, why: String) -> Self {
        Self::without_files(Document {
            warnings: vec![why],
            ..Document::new(task_id, state, [])
        })
    }

    fn without_files(document: Document) -> Self {
        Self {
            document,
            files: Vec::new(),
        }
    }
}

/// Converts a callback or a record-info answer.
///
/// Never fails: if there is no song, [`Document::state`] and [`Document::warnings`] say why. The same arguments give
/// the same bytes.
///
/// ```
/// use suno_midi::{convert, document::State, format, music::tempo::TempoChoice};
///
/// let body = br#"{"code": 200, "data": {"instruments": [
///     {"name": "Drums", "notes": [{"pitch": 38, "start": 0.5, "end": "0.75", "velocity": 1}]}
/// ]}}"#;
/// let outcome = convert(&"5c79".parse()?, body, TempoChoice::Auto);
/// assert_eq!(outcome.document.state, State::Rendered);
/// assert!(outcome.file(format::MIDI).unwrap().bytes.starts_with(b"MThd"));
/// # Ok::<(), suno_midi::UnfitTaskId>(())
/// ```
pub fn convert(task_id: &TaskId, body: &[u8], tempo: TempoChoice) -> Outcome {
    let without_song = |state, why: &str| Outcome::without_song(task_id, state, why.to_owned());
    match callback::read(body) {
        Ok(Callback::Song(parts)) => match Score::new(&parts) {
            Ok(score) => song(task_id, body, &Song::new(score, tempo)),
            Err(too_many) => without_song(State::Invalid, &too_many.to_string()),
        },
        Ok(Callback::Failed { code, message }) => Outcome::without_files(Document {
            failure: Some(Failure {
                code,
                message: text::plain(&message, MAX_MESSAGE),
            }),
            ..Document::new(task_id, State::Failed, [])
        }),
        Ok(Callback::Pending) => without_song(
            State::Pending,
            "the task had not ended yet when this was saved: ask the provider again",
        ),
        Ok(Callback::Unsupported) => without_song(
            State::Unsupported,
            "this is a callback of another product of the provider: kept, not rendered",
        ),
        Err(unreadable) => without_song(State::Invalid, &unreadable.to_string()),
    }
}

fn song(task_id: &TaskId, body: &[u8], song: &Song) -> Outcome {
    let label = Label {
        title: task_id.as_str(),
        body: Digest::of(body),
    };
    let tracks = midi::tracks(song);
    let files = format::files(label, song, &tracks);
    let summary = SongSummary::new(song, &tracks);
    let state = if summary.notes == 0 {
        State::Empty
    } else {
        State::Rendered
    };
    let document = Document {
        song: Some(summary),
        warnings: warnings(song),
        ..Document::new(task_id, state, files.iter().map(|file| file.format))
    };
    Outcome { document, files }
}

fn warnings(song: &Song) -> Vec<String> {
    let mut warnings = Vec::new();
    if song.score.instruments.is_empty() {
        warnings.push("the provider found no instruments".to_owned());
    }
    for (instrument, voice) in song.parts() {
        let name = &instrument.name;
        if !voice.known {
            let sound = Sound::DEFAULT.name();
            warnings.push(format!("\"{name}\" is no instrument known here; it plays as {sound}"));
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::score::{MAX_INSTRUMENTS, Repair, Skip};

    fn outcome(body: &str) -> Outcome {
        convert(&"t".parse().unwrap(), body.as_bytes(), TempoChoice::Auto)
    }

    #[test]
    fn each_kind_of_body_ends_in_its_state() {
        let note = r#"{"pitch":60,"start":0,"end":1,"velocity":1}"#;
        let song = format!(r#"{{"code":200,"data":{{"instruments":[{{"notes":[{note}]}}]}}}}"#);
        let crowd = format!(r#"{{"instruments":[{}]}}"#, vec!["{}"; MAX_INSTRUMENTS + 1].join(","));
        for (body, state) in [
            (song.as_str(), State::Rendered),
            (
                r#"{"code":200,"data":{"instruments":[{"notes":[{"pitch":200}]}]}}"#,
                State::Empty,
            ),
            (r#"{"code":200,"data":{"instruments":null}}"#, State::Empty),
            (r#"{"code":500,"msg":"no","data":null}"#, State::Failed),
            (r#"{"code":200,"data":{"successFlag":0}}"#, State::Pending),
            (r#"{"code":200,"data":{"audioWavUrl":"u"}}"#, State::Unsupported),
            ("nonsense", State::Invalid),
            (&crowd, State::Invalid),
        ] {
            let outcome = outcome(body);
            assert_eq!(outcome.document.state, state);
            let formats: Vec<&str> = outcome.files.iter().map(|file| file.format.name).collect();
            let expected = if state.has_song() {
                &["midi", "pianoRoll"][..]
            } else {
                &[]
            };
            assert_eq!(formats, expected, "{state:?}");
            let named = outcome.document.files.keys().filter(|name| **name != "document");
            assert_eq!(named.copied().collect::<Vec<_>>(), expected, "{state:?}");
            for format in [format::MIDI, format::PIANO_ROLL] {
                let found = outcome.file(format).map(|file| file.format);
                assert_eq!(found, state.has_song().then_some(format), "{state:?}");
            }
            let objects: Vec<&str> = outcome.objects().map(|(object, _)| object).collect();
            let published = if state.has_song() {
                &["midi/t.mid", "midi/t.svg", "midi/t.json"][..]
            } else {
                &["midi/t.json"]
            };
            assert_eq!(objects, published, "{state:?}");
            let (_, last) = outcome.objects().last().unwrap();
            assert_eq!(last.bytes, outcome.document.to_json(), "{state:?}");
            assert_eq!(outcome.document.song.is_some(), state.has_song(), "{state:?}");
            let says_why = !outcome.document.warnings.is_empty() || outcome.document.failure.is_some();
            assert!(says_why, "{state:?}");
        }
    }

    #[test]
    fn what_is_as_sent_is_not_counted() {
        let body =
            r#"{"data":{"instruments":[{"name":"Violin","notes":[{"pitch":60,"start":0,"end":1,"velocity":1}]}]}}"#;
        let document = outcome(body).document;
        assert_eq!(document.warnings, [""; 0]);
        let json: serde_json::Value = serde_json::from_slice(&document.to_json()).unwrap();
        for count in ["skipped", "repaired", "shortened", "merged"] {
            assert_eq!(json["song"]["instruments"][0].get(count), None, "{count}");
        }
    }

    #[test]
    fn changed_and_skipped_notes_are_counted() {
        let body = r#"{"data":{"instruments":[{"name":"Xyzzy","notes":[
            {"pitch":60,"start":0,"end":2,"velocity":1}, {"pitch":60,"start":1,"end":2,"velocity":1},
            {"pitch":60,"start":1,"end":2,"velocity":1}, {"pitch":60,"start":3,"end":3,"velocity":1}, {"pitch":-1}, {"pitch":128}]}]}}"#;
        let document = outcome(body).document;
        let song = document.song.unwrap();
        let instrument = &song.instruments[0];
        assert_eq!((song.notes, song.seconds, song.skipped()), (3, 3.0, 2));
        assert_eq!(
            (instrument.shortened, instrument.merged, instrument.known),
            (1, 1, false)
        );
        let json = serde_json::to_value(instrument).unwrap();
        assert_eq!((&json["shortened"], &json["merged"]), (&1.into(), &1.into()));
        assert_eq!(instrument.skipped, BTreeMap::from([(Skip::PitchOutOfRange, 2)]));
        assert_eq!(instrument.repaired, BTreeMap::from([(Repair::ZeroLength, 1)]));
        assert_eq!(
            document.warnings,
            [
                "\"Xyzzy\" is no instrument known here; it plays as Acoustic Grand Piano",
                "2 of the notes of \"Xyzzy\" cannot be held by a MIDI file and were left out"
            ]
        );
    }

    #[test]
    fn a_failure_keeps_the_providers_words_on_one_line() {
        let body = format!(r#"{{"code":531,"msg":"no\n{}"}}"#, "x".repeat(2000));
        let failure = outcome(&body).document.failure.unwrap();
        assert_eq!(failure.code, Some(531));
        assert_eq!(failure.message, format!("no {}", "x".repeat(997)));
    }

    #[test]
    fn the_same_song_in_another_body_gives_other_bytes() {
        let body = r#"{"data":{"instruments":[{"name":"Drums","notes":[{"pitch":38,"start":0,"end":1}]}]}}"#;
        let (one, other) = (outcome(body), outcome(&format!("{body} ")));
        assert_eq!(one.document, other.document);
        for (one, other) in one.files.iter().zip(&other.files) {
            assert_ne!(one.bytes, other.bytes, "{}", one.format.name);
        }
    }
}
