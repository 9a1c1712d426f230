//! A body → the result document and the files of the song.

use std::borrow::Cow;

use crate::{
    Digest, Options, TaskId,
    document::{Document, Failure, SongSummary, State, object_name},
    format::{self, File, Format, Label, MAX_PARTS, midi},
    instruments::Sound,
    music::Song,
    provider::{
        self,
        callback::{self, Callback, NotACallback},
    },
    score::Score,
    text,
};

/// The longest message of the provider that a document quotes, in characters.
const MAX_MESSAGE: usize = 1000;

/// The result of a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The result document.
    pub document: Document,
    /// The files of the song, in the order in which they are published: those of the whole song, then one for each
    /// instrument if it was split. None if the state has no song.
    pub files: Vec<File>,
}

impl Outcome {
    /// The file of this format, if there is one.
    pub fn file(&self, format: Format) -> Option<&File> {
        self.files.iter().find(|file| file.format == format)
    }

    /// The objects of the result with their names, in the order in which they must be published. The document comes last,
    /// so that it never names a missing file.
    pub fn objects(&self) -> impl Iterator<Item = (&str, Cow<'_, File>)> {
        let document = self.document.object(format::DOCUMENT).map(|object| {
            let file = File {
                object: object.to_owned(),
                format: format::DOCUMENT,
                bytes: self.document.to_json(),
            };
            (object, Cow::Owned(file))
        });
        let files = self.files.iter();
        files
            .map(|file| (file.object.as_str(), Cow::Borrowed(file)))
            .chain(document)
    }

    /// The outcome of a body that could not be read; `why` becomes a warning of the document.
    pub fn unread(task_id: &TaskId, why: String) -> Self {
        Self::without_song(task_id, State::Invalid, why)
    }

    /// The outcome of a task that had no result until the provider deleted its data.
    pub fn expired(task_id: &TaskId, why: String) -> Self {
        Self::without_song(task_id, State::Expired, why)
    }

    /// The outcome of a task that the provider does not know.
    pub fn unknown(task_id: &TaskId, why: String) -> Self {
        Self::without_song(task_id, State::Unknown, why)
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
/// use suno_midi::{Options, convert, document::State, format};
///
/// let body = br#"{"code": 200, "data": {"instruments": [
///     {"name": "Drums", "notes": [{"pitch": 38, "start": 0.5, "end": "0.75", "velocity": 1}]}
/// ]}}"#;
/// let outcome = convert(&"5c79".parse()?, body, &Options::default());
/// assert_eq!(outcome.document.state, State::Rendered);
/// assert!(outcome.file(format::MIDI).unwrap().bytes.starts_with(b"MThd"));
/// # Ok::<(), suno_midi::UnfitTaskId>(())
/// ```
pub fn convert(task_id: &TaskId, body: &[u8], options: &Options) -> Outcome {
    convert_read(task_id, body, callback::read(body), options)
}

/// Converts a body that was read before: `read` is what [`callback::read`] makes of it.
pub fn convert_read(task_id: &TaskId, body: &[u8], read: Result<Callback, NotACallback>, options: &Options) -> Outcome {
    let without_song = |state, why: &str| Outcome::without_song(task_id, state, why.to_owned());
    match read {
        Ok(Callback::Song(parts)) => {
            let sent: usize = parts.iter().map(|part| part.notes.len()).sum();
            match Score::new(parts) {
                Ok(score) if score.note_count() == 0 && sent > 0 => unreadable(
                    task_id,
                    provider::names(&callback::text(body)),
                    &format!("the body has {sent} notes, and none that a MIDI file can hold"),
                ),
                Ok(score) => song(task_id, body, &Song::new(score, &options.render), options),
                Err(too_many) => without_song(State::Invalid, &too_many.to_string()),
            }
        }
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
        Ok(Callback::Unsupported { product }) => {
            let name = product.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            let why = format!("this is about another product of the provider{name}: kept, not rendered");
            Outcome::without_files(Document {
                product,
                warnings: vec![why],
                ..Document::new(task_id, State::Unsupported, [])
            })
        }
        Ok(Callback::Unreadable { members }) => unreadable(
            task_id,
            members,
            "the body does not say that there are no notes, and this version of midihook finds none in it",
        ),
        Err(other) => without_song(State::Invalid, &other.to_string()),
    }
}

fn unreadable(task_id: &TaskId, members: Vec<String>, why: &str) -> Outcome {
    Outcome::without_files(Document {
        members,
        warnings: vec![format!("{why}: please report the names of its members")],
        ..Document::new(task_id, State::Unreadable, [])
    })
}

fn song(task_id: &TaskId, body: &[u8], song: &Song, options: &Options) -> Outcome {
    let label = Label {
        title: task_id.as_str(),
        body: Digest::of(body),
        requested_at: options.requested_at,
    };
    let tracks = midi::tracks(song);
    let mut summary = SongSummary::new(song, &tracks);
    let mut warnings = warnings(song);
    let files = format::files(label, song, &tracks, options);
    let mut files: Vec<File> = files
        .map(|(format, bytes)| File {
            object: object_name(task_id, format),
            format,
            bytes,
        })
        .collect();
    let formats: Vec<Format> = files.iter().map(|file| file.format).collect();
    if options.render.split == Some(true) && tracks.len() <= MAX_PARTS {
        files.extend(
            summary
                .instruments
                .iter_mut()
                .enumerate()
                .map(|(index, instrument)| File {
                    object: instrument.name_file(task_id, index + 1).to_owned(),
                    format: format::PART,
                    bytes: midi::write_part(label, song, &tracks, index),
                }),
        );
    } else if options.render.split == Some(true) {
        warnings.push(format!(
            "a song with more than {MAX_PARTS} instruments is not split; the MIDI file has all of them"
        ));
    }
    let state = if summary.notes == 0 {
        State::Empty
    } else {
        State::Rendered
    };
    let document = Document {
        song: Some(summary),
        warnings,
        ..Document::new(task_id, state, formats)
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
    use crate::{
        RenderOptions,
        options::Quantize,
        score::{MAX_INSTRUMENTS, Repair, Skip},
    };

    fn outcome(body: &str) -> Outcome {
        convert(&"t".parse().unwrap(), body.as_bytes(), &Options::default())
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
                State::Unreadable,
            ),
            (r#"{"code":200,"data":{"instruments":[{"notes":[]}]}}"#, State::Empty),
            (r#"{"code":200,"data":{"instruments":null}}"#, State::Unreadable),
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
    fn what_is_asked_for_comes_before_the_document_and_changes_no_other_file() {
        let body = r#"{"data":{"instruments":[
            {"name":"Drums","notes":[{"pitch":38,"start":0.26,"end":1}]}, {"name":"Bass (left)","notes":null}]}}"#;
        let plain = outcome(body);
        let options = Options {
            render: RenderOptions {
                split: Some(true),
                quantize: Some(Quantize::Sixteenths),
                ..RenderOptions::default()
            },
            ..Options::default()
        };
        let asked = convert(&"t".parse().unwrap(), body.as_bytes(), &options);
        let objects: Vec<&str> = asked.objects().map(|(object, _)| object).collect();
        assert_eq!(
            objects,
            [
                "midi/t.mid",
                "midi/t.svg",
                "midi/t/quantized.mid",
                "midi/t/01-drums.mid",
                "midi/t/02-bass-left.mid",
                "midi/t.json"
            ]
        );
        assert_eq!(asked.document.object(format::QUANTIZED), Some("midi/t/quantized.mid"));
        assert_eq!(asked.files[..2], plain.files);
        let json = serde_json::to_value(&asked.document).unwrap();
        assert_eq!(json["files"]["quantized"], "midi/t/quantized.mid");
        assert_eq!(json["song"]["instruments"][1]["file"], "midi/t/02-bass-left.mid");
        let json = serde_json::to_value(&plain.document).unwrap();
        assert_eq!(json["song"]["instruments"][1].get("file"), None);
    }

    #[test]
    fn a_picture_that_nobody_wants_is_neither_drawn_nor_named() {
        let body = r#"{"data":{"instruments":[{"name":"Drums","notes":[{"pitch":38,"start":0,"end":1}]}]}}"#;
        let options = Options {
            piano_roll: false,
            ..Options::default()
        };
        let outcome = convert(&"t".parse().unwrap(), body.as_bytes(), &options);
        assert_eq!(outcome.files, self::outcome(body).files[..1]);
        let objects: Vec<&str> = outcome.objects().map(|(object, _)| object).collect();
        assert_eq!(objects, ["midi/t.mid", "midi/t.json"]);
        assert_eq!(outcome.document.object(format::PIANO_ROLL), None);
    }

    #[test]
    fn a_song_with_too_many_instruments_is_not_split_and_says_so() {
        let options = Options {
            render: RenderOptions {
                split: Some(true),
                ..RenderOptions::default()
            },
            ..Options::default()
        };
        for (count, parts, warnings) in [(MAX_PARTS, MAX_PARTS, 0), (MAX_PARTS + 1, 0, 1)] {
            let body = format!(
                r#"{{"instruments":[{}]}}"#,
                vec![r#"{"name":"Piano"}"#; count].join(",")
            );
            let outcome = convert(&"t".parse().unwrap(), body.as_bytes(), &options);
            assert_eq!(
                (outcome.files.len() - 2, outcome.document.warnings.len()),
                (parts, warnings)
            );
            assert_eq!(outcome.objects().count(), parts + 3);
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
    fn the_same_song_in_another_body_or_asked_for_gives_other_bytes() {
        let body = r#"{"data":{"instruments":[{"name":"Drums","notes":[{"pitch":38,"start":0,"end":1}]}]}}"#;
        let (one, other) = (outcome(body), outcome(&format!("{body} ")));
        assert_eq!(one.document, other.document);
        let options = Options {
            requested_at: Some(7),
            ..Options::default()
        };
        let asked = convert(&"t".parse().unwrap(), body.as_bytes(), &options);
        for ((one, other), asked) in one.files.iter().zip(&other.files).zip(&asked.files) {
            assert_ne!(one.bytes, other.bytes, "{}", one.format.name);
            assert_ne!(one.bytes, asked.bytes, "{}", one.format.name);
        }
    }
}
