//! Reads the wire format: a callback, or an answer of the provider's "Get MIDI Generation Details" (record-info).
//!
//! Reading is lenient at each level: an unreadable value is lost alone, not with the song around it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use thiserror::Error;

use super::without_bom;

/// What a body says about its task.
#[derive(Debug, Clone, PartialEq)]
pub enum Callback {
    /// The transcription is done. There may be no instruments, and instruments may have no notes.
    Song(Vec<Part>),
    /// The provider could not transcribe the song.
    Failed {
        /// The provider's `code`, if it sent a number.
        code: Option<i64>,
        /// The provider's words.
        message: String,
    },
    /// The task had not finished: a record-info answer that was saved too early.
    Pending,
    /// A callback of another product of the provider.
    Unsupported,
}

/// One instrument as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// The instrument's name; empty if none was sent.
    pub name: String,
    /// Its notes, in the order in which they were sent.
    pub notes: Vec<SentNote>,
}

/// One note as it was sent. Each member is `None` if it is missing or null, and NaN if it is not a number.
///
/// The provider documents times as "number | string". We accept both forms for every member.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SentNote {
    /// The MIDI note number; middle C is 60.
    pub pitch: Option<f64>,
    /// The onset, in seconds from the beginning of the audio.
    pub start: Option<f64>,
    /// The end, in seconds from the beginning of the audio.
    pub end: Option<f64>,
    /// The velocity, 0 to 1.
    pub velocity: Option<f64>,
}

/// A body that is not a callback of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It is not JSON.
    #[error("the body is not JSON (line {line}, column {column}): {reason}")]
    NotJson {
        /// The line where reading stopped, from 1.
        line: usize,
        /// The column, from 1; 0 before the first character of the line.
        column: usize,
        /// What was wrong there.
        reason: String,
    },
    /// It is JSON, but not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// `instruments` is neither a list nor a map.
    #[error("\"instruments\" is neither a list nor a map")]
    InstrumentsNotAList,
}

/// Reads a callback or a record-info answer.
///
/// `instruments` may be at any place, up to five levels deep. Callbacks have `data.instruments`, record-info answers
/// have `data.midiData.instruments`.
///
/// # Errors
/// [`Unreadable`] if the body is neither.
pub fn read(body: &[u8]) -> Result<Callback, Unreadable> {
    // A byte that is not UTF-8 must spoil only a name, not the song.
    let text = String::from_utf8_lossy(without_bom(body));
    let raw = parse(&text)?;
    let top = Object::read(raw).ok_or(Unreadable::NotAnObject)?;
    let data = top.get("data").and_then(Object::read).unwrap_or_default();

    let code = top.get("code").and_then(number);
    let message = || {
        data.get("errorMessage")
            .or_else(|| top.get("msg"))
            .and_then(text_of)
            // What the provider says about the answer, not about the task.
            .filter(|text| text != "success")
            .unwrap_or_default()
            .into_owned()
    };
    if let Some(code) = code.filter(|&code| code != 200.0) {
        return Ok(Callback::Failed {
            code: whole(code),
            message: message(),
        });
    }

    let instruments = instruments_in(raw);
    let parts = match instruments.filter(|found| !is_null(found)) {
        Some(instruments) => read_parts(instruments)?,
        None => Vec::new(),
    };
    // Instruments say more than the flag; an empty list says less.
    if !parts.is_empty() {
        return Ok(Callback::Song(parts));
    }
    match data.get("successFlag").and_then(Flag::read) {
        Some(Flag::Pending) => return Ok(Callback::Pending),
        Some(Flag::Failed(flag)) => {
            let code = data.get("errorCode").and_then(number).or(flag);
            return Ok(Callback::Failed {
                code: code.and_then(whole),
                message: message(),
            });
        }
        Some(Flag::Done) | None => {}
    }
    // A success without instruments is an empty song (the provider's page, "Handle Missing Instruments").
    let is_midi = instruments.is_some()
        || data.0.iter().all(|(name, _)| MIDI_MEMBERS.contains(&name.as_ref()))
        || data.get("state").is_some();
    Ok(if is_midi {
        Callback::Song(Vec::new())
    } else {
        Callback::Unsupported
    })
}

/// The `successFlag` of a record-info answer: a number for MIDI, a text for the provider's other products (the provider's
/// pages "Get MIDI Generation Details" and "Get Vocal Separation Details").
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Flag {
    Pending,
    Done,
    /// With the number, if it is one: 2 could not be created, 3 failed.
    Failed(Option<f64>),
}

impl Flag {
    /// `None` if the value is neither a number nor a text.
    pub(super) fn read(raw: &RawValue) -> Option<Self> {
        if let Some(flag) = number(raw) {
            return Some(match flag {
                1.0 => Self::Done,
                flag if flag > 1.0 => Self::Failed(Some(flag)),
                _ => Self::Pending,
            });
        }
        Some(match text_of(raw)?.as_ref() {
            // The latter: it was made, but its callback was not taken.
            "SUCCESS" | "CALLBACK_EXCEPTION" => Self::Done,
            text if text.ends_with("_FAILED") => Self::Failed(None),
            _ => Self::Pending,
        })
    }
}

/// Checks that a text is one JSON value.
pub(super) fn parse(text: &str) -> Result<&RawValue, Unreadable> {
    serde_json::from_str(text).map_err(|e| Unreadable::NotJson {
        line: e.line(),
        column: e.column(),
        reason: e.to_string().split(" at line").next().unwrap_or_default().to_owned(),
    })
}

/// The members of `data` in MIDI callbacks and record-info answers. The callbacks of other products (lyrics, audio,
/// video, separation) have other members and no `state`.
const MIDI_MEMBERS: [&str; 14] = [
    "taskId",
    "task_id",
    "recordTaskId",
    "audioId",
    "callbackUrl",
    "callBackUrl",
    "completeTime",
    "createTime",
    "successFlag",
    "errorCode",
    "errorMessage",
    "midiData",
    "instruments",
    "state",
];

/// How deep we search for `instruments`. `data.midiData.instruments` needs three levels.
const MAX_DEPTH: usize = 5;

/// The `instruments` of a body, at any place; null if they are null everywhere.
pub(super) fn instruments_in(raw: &RawValue) -> Option<&RawValue> {
    find_instruments(raw, MAX_DEPTH)
}

/// Searches depth first, an object's own member before its other members. Returns the first `instruments` that is not
/// null; if all are null, one of them.
fn find_instruments(raw: &RawValue, depth: usize) -> Option<&RawValue> {
    if depth == 0 {
        return None;
    }
    let members = Object::read(raw).map(|object| object.0);
    let own = members.iter().flatten().rev().find(|(name, _)| name == "instruments");
    let own = own.map(|&(_, value)| value);
    if own.is_some_and(|found| !is_null(found)) {
        return own;
    }
    let values: Vec<&RawValue> = match members {
        Some(members) => members.into_iter().map(|(_, value)| value).collect(),
        None => list(raw)?,
    };
    let mut deeper = None;
    for value in values {
        match find_instruments(value, depth - 1) {
            Some(found) if !is_null(found) => return Some(found),
            found => deeper = deeper.or(found),
        }
    }
    own.or(deeper)
}

fn read_parts(instruments: &RawValue) -> Result<Vec<Part>, Unreadable> {
    if let Some(list) = list(instruments) {
        return Ok(list
            .into_iter()
            .map(|raw| {
                let object = Object::read(raw).unwrap_or_default();
                let name = object.get("name").and_then(text_of).unwrap_or_default().into_owned();
                Part {
                    name,
                    notes: object.get("notes").map(read_notes).unwrap_or_default(),
                }
            })
            .collect());
    }
    // Some resellers of the same data send a map from name to notes.
    let map = Object::read(instruments).ok_or(Unreadable::InstrumentsNotAList)?;
    Ok(map
        .0
        .into_iter()
        .map(|(name, notes)| Part {
            name: name.into_owned(),
            notes: read_notes(notes),
        })
        .collect())
}

fn read_notes(raw: &RawValue) -> Vec<SentNote> {
    let list = list(raw)
        .or_else(|| list(Object::read(raw)?.get("notes")?))
        .unwrap_or_default();
    list.into_iter().map(read_note).collect()
}

fn read_note(raw: &RawValue) -> SentNote {
    let mut note = SentNote::default();
    for (name, value) in Object::read(raw).unwrap_or_default().0 {
        let member = match name.as_ref() {
            "pitch" => &mut note.pitch,
            "start" => &mut note.start,
            "end" => &mut note.end,
            "velocity" => &mut note.velocity,
            _ => continue,
        };
        *member = if is_null(value) {
            None
        } else {
            Some(number(value).unwrap_or(f64::NAN))
        };
    }
    note
}

/// A JSON object with unread members. If a name occurs twice, the last member counts, as in JavaScript and Python.
#[derive(Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        raw.get()
            .starts_with('{')
            .then(|| serde_json::from_str(raw.get()).ok())?
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The member of this name, unless it is null.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .rev()
            .find(|(own, _)| own == name)
            .map(|&(_, value)| value)
            .filter(|value| !is_null(value))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A text that borrows from the body unless it has escapes (serde's `Cow` always copies). Replaces a lone surrogate,
/// which JSON can escape but UTF-8 cannot encode.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
                Ok(Text(String::from_utf8_lossy(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned().into()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    raw.get()
        .starts_with('[')
        .then(|| serde_json::from_str(raw.get()).ok())?
}

pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

pub(super) fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text: Option<Text<'_>> = serde_json::from_str(raw.get()).ok();
    text.map(|Text(text)| text)
}

/// A number, or a string that holds one; infinite if it is too large for an `f64`.
pub(super) fn number(raw: &RawValue) -> Option<f64> {
    let text = raw.get();
    if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return text.parse().ok();
    }
    text_of(raw)?.trim().parse().ok()
}

pub(super) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!(r#"{{"x":{}{},"taskId":"a"}}"#, "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(super::super::task_ids::find_task_ids(deep.as_bytes()), ["a"]);
        assert_eq!(super::super::check_json(deep.as_bytes()), Ok(()));
        assert_eq!(read(deep.as_bytes()), Ok(Callback::Song(vec![])));
    }

    fn parts(body: &str) -> Vec<Part> {
        match read(body.as_bytes()) {
            Ok(Callback::Song(parts)) => parts,
            other => panic!("{body}: {other:?}"),
        }
    }

    const PIANO: &str = r#"{"name":"Piano","notes":[{"velocity":0.5,"pitch":60,"end":"1.5","start":1}]}"#;

    #[test]
    fn instruments_are_found_in_any_place() {
        let note = SentNote {
            pitch: Some(60.0),
            start: Some(1.0),
            end: Some(1.5),
            velocity: Some(0.5),
        };
        let expected = [Part {
            name: "Piano".into(),
            notes: vec![note],
        }];
        for body in [
            format!(r#"{{"code":200,"data":{{"instruments":[{PIANO}]}}}}"#),
            format!(
                r#"{{"code":200,"data":{{"successFlag":1,"midiData":{{"state":"complete","instruments":[{PIANO}]}}}}}}"#
            ),
            format!(r#"{{"data":[{{"instruments":[{PIANO}]}}]}}"#),
            format!(r#"{{"data":{{"instruments":null,"midiData":{{"instruments":[{PIANO}]}}}}}}"#),
            format!(
                r#"{{"\\ud800":0,"data":{{"instruments":[{{"\\udfff":0,{}]}}}}"#,
                &PIANO[1..]
            ),
            format!(r#"{{"instruments":[{PIANO}]}}"#),
            r#"{"data":{"instruments":{"Piano":[{"velocity":0.5,"pitch":60,"end":"1.5","start":1}]}}}"#.to_owned(),
            format!(r#"{{"code":"200","data":{{"instruments":{{"Piano":{PIANO}}}}}}}"#),
        ] {
            assert_eq!(parts(&body), expected, "{body}");
        }
    }

    #[test]
    fn instruments_are_found_five_levels_deep_and_past_those_that_are_null() {
        let nested = |levels: usize| {
            let (open, close) = (r#"{"x":"#.repeat(levels), "}".repeat(levels));
            format!(r#"{open}{{"instruments":[{PIANO}]}}{close}"#)
        };
        assert_eq!(parts(&nested(4)).len(), 1);
        assert_eq!(parts(&nested(5)), []);
        let past_null = format!(r#"{{"data":{{"a":{{"instruments":null}},"b":{{"instruments":[{PIANO}]}}}}}}"#);
        assert_eq!(parts(&past_null).len(), 1);
    }

    #[test]
    fn a_success_without_instruments_is_an_empty_song() {
        for body in [
            r#"{"code":200,"data":{"taskId":"a","state":"complete"}}"#,
            r#"{"code":200,"data":{"taskId":"a","instruments":null}}"#,
            r#"{"code":200,"data":{"taskId":"a","instruments":[]}}"#,
            r#"{"code":200,"data":null,"taskId":"a"}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","newMember":1}}"#,
            r#"{"code":200,"data":{"taskId":"a","successFlag":1,"midiData":{}}}"#,
        ] {
            assert_eq!(parts(body), [], "{body}");
        }
        for notes in ["", r#","notes":null"#, r#","notes":[]"#, r#","notes":3"#] {
            let body = format!(r#"{{"code":200,"data":{{"instruments":[{{"name":"Drums"{notes}}}]}}}}"#);
            assert_eq!(
                parts(&body),
                [Part {
                    name: "Drums".into(),
                    notes: vec![]
                }],
                "{body}"
            );
        }
    }

    #[test]
    fn a_code_is_a_whole_number_or_none() {
        for (sent, code) in [
            ("500.0", Some(500)),
            ("-1", Some(-1)),
            ("500.5", None),
            ("999999999999999", Some(999_999_999_999_999)),
            ("1000000000000000", None),
            ("1e16", None),
        ] {
            let expected = Callback::Failed {
                code,
                message: String::new(),
            };
            assert_eq!(read(format!(r#"{{"code":{sent}}}"#).as_bytes()), Ok(expected), "{sent}");
        }
    }

    #[test]
    fn a_failure_keeps_the_providers_words() {
        let failed = |body: &str| read(body.as_bytes());
        let expected = Ok(Callback::Failed {
            code: Some(500),
            message: "Internal Error".into(),
        });
        assert_eq!(
            failed(r#"{"code":500,"msg":"Internal Error","data":null,"taskId":"a"}"#),
            expected
        );
        assert_eq!(failed(r#"{"code":"500","msg":"Internal Error"}"#), expected);
        assert_eq!(
            failed(
                r#"{"code":200,"msg":"success","data":{"successFlag":3,"errorCode":500,"errorMessage":"Internal Error"}}"#
            ),
            expected
        );
        assert_eq!(
            failed(r#"{"code":200,"msg":"success","data":{"successFlag":2,"errorMessage":null}}"#),
            Ok(Callback::Failed {
                code: Some(2),
                message: String::new()
            })
        );
    }

    #[test]
    fn a_flag_counts_more_than_an_empty_list() {
        let read = |flag: &str| {
            let data = format!(r#"{{"successFlag":{flag},"midiData":{{"instruments":[]}}}}"#);
            read(format!(r#"{{"code":200,"data":{data}}}"#).as_bytes()).unwrap()
        };
        for flag in ["0", r#""0""#, r#""PENDING""#, r#""TEXT_OF_TOMORROW""#] {
            assert_eq!(read(flag), Callback::Pending, "{flag}");
        }
        for flag in ["1", r#""1""#, r#""SUCCESS""#, r#""CALLBACK_EXCEPTION""#, "null", "[]"] {
            assert_eq!(read(flag), Callback::Song(vec![]), "{flag}");
        }
        for (flag, code) in [("3", Some(3)), (r#""2""#, Some(2)), (r#""CREATE_TASK_FAILED""#, None)] {
            let expected = Callback::Failed {
                code,
                message: String::new(),
            };
            assert_eq!(read(flag), expected, "{flag}");
        }
    }

    #[test]
    fn other_products_and_unreadable_bodies_are_told_apart() {
        for other in [
            r#"{"code":200,"data":{"callbackType":"complete","task_id":"a","data":[{"id":"x"}]}}"#,
            r#"{"code":200,"data":{"task_id":"a","vocal_removal_info":{"vocal_url":"u"}}}"#,
            r#"{"code":200,"data":{"task_id":"a","audioWavUrl":"u"}}"#,
        ] {
            assert_eq!(read(other.as_bytes()), Ok(Callback::Unsupported), "{other}");
        }
        assert_eq!(read(b"[]"), Err(Unreadable::NotAnObject));
        assert_eq!(
            read(br#"{"data":{"instruments":"none"}}"#),
            Err(Unreadable::InstrumentsNotAList)
        );
        assert_eq!(read(br#"{"code":200,"data":{"successFlag":0}}"#), Ok(Callback::Pending));
        assert!(matches!(read(b"{"), Err(Unreadable::NotJson { line: 1, .. })));
    }

    #[test]
    fn one_bad_value_spoils_only_itself() {
        let body = r#"{"data":{"instruments":[7,{"name":3,"notes":[null,"x",{"pitch":1e999,"start":"NaN","end":[],"velocity":" 1 "},{"pitch":null,"pitch":5}]}]}}"#;
        let parts = parts(body);
        assert_eq!(parts[0], Part::default());
        assert_eq!(parts[1].notes[..2], [SentNote::default(); 2]);
        let odd = parts[1].notes[2];
        assert_eq!((odd.pitch, odd.velocity), (Some(f64::INFINITY), Some(1.0)));
        assert!(odd.start.unwrap().is_nan() && odd.end.unwrap().is_nan());
        assert_eq!(parts[1].notes[3].pitch, Some(5.0));
        assert_eq!(
            self::parts("{\"data\":{\"instruments\":[{\"name\":\"a\u{fffd}\"}]}}")[0].name,
            "a\u{fffd}"
        );
    }
}
