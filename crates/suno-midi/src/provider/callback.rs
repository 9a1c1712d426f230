//! Reads the wire format: a callback, or an answer of the provider's "Get MIDI Generation Details" (record-info).
//!
//! Reading is lenient at each level: an unreadable value is lost alone, not with the song around it.

use std::borrow::Cow;

use serde::de::{self, IgnoredAny};
use thiserror::Error;

use super::{
    json::{Broken, Reader, number_of, text_of},
    task_ids::{Ids, find_task_ids},
    without_bom,
};

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

/// One note as it was sent. A member that is missing, null or not a number is NaN.
///
/// The provider documents times as "number | string". We accept both forms for every member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SentNote {
    /// The MIDI note number; middle C is 60.
    pub pitch: f64,
    /// The onset, in seconds from the beginning of the audio.
    pub start: f64,
    /// The end, in seconds from the beginning of the audio.
    pub end: f64,
    /// The velocity, 0 to 1.
    pub velocity: f64,
}

impl SentNote {
    /// A note of which nothing was sent.
    pub const EMPTY: Self = Self {
        pitch: f64::NAN,
        start: f64::NAN,
        end: f64::NAN,
        velocity: f64::NAN,
    };
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
    callback(Body::read(&text(body))?)
}

/// Reads a body like [`read`], and the task ids that [`find_task_ids`] finds in it, in one pass.
pub fn read_with_task_ids(body: &[u8]) -> (Vec<Cow<'_, str>>, Result<Callback, Unreadable>) {
    if let Ok(text) = std::str::from_utf8(without_bom(body))
        && let Ok(read) = Body::read(text)
    {
        return (read.top.task_ids(), callback(read));
    }
    (find_task_ids(body), read(body))
}

/// What a body says.
fn callback(Body { top, instruments }: Body<'_>) -> Result<Callback, Unreadable> {
    let none = Object::default();
    let data = top.object("data").unwrap_or(&none);

    let code = top.get("code").and_then(number_of);
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

    let has_instruments = instruments.is_some();
    match instruments {
        Some(Instruments::Neither) => return Err(Unreadable::InstrumentsNotAList),
        // Instruments say more than the flag; an empty list says less.
        Some(Instruments::Parts(parts)) if !parts.is_empty() => return Ok(Callback::Song(parts)),
        _ => {}
    }
    match data.get("successFlag").and_then(Flag::read) {
        Some(Flag::Pending) => return Ok(Callback::Pending),
        Some(Flag::Failed(flag)) => {
            let code = data.get("errorCode").and_then(number_of).or(flag);
            return Ok(Callback::Failed {
                code: code.and_then(whole),
                message: message(),
            });
        }
        Some(Flag::Done) | None => {}
    }
    // A success without instruments is an empty song (the provider's page, "Handle Missing Instruments").
    let is_midi =
        has_instruments || data.names().all(|name| MIDI_MEMBERS.contains(&name)) || data.get("state").is_some();
    Ok(if is_midi {
        Callback::Song(Vec::new())
    } else {
        Callback::Unsupported
    })
}

/// The text of a body. A byte that is not UTF-8 must spoil only a name, not the song.
pub(super) fn text(body: &[u8]) -> Cow<'_, str> {
    let body = without_bom(body);
    // Much faster than `from_utf8_lossy` alone.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
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
    pub(super) fn read(value: &str) -> Option<Self> {
        if let Some(flag) = number_of(value) {
            return Some(match flag {
                1.0 => Self::Done,
                flag if flag > 1.0 => Self::Failed(Some(flag)),
                _ => Self::Pending,
            });
        }
        Some(match text_of(value)?.as_ref() {
            // The latter: it was made, but its callback was not taken.
            "SUCCESS" | "CALLBACK_EXCEPTION" => Self::Done,
            text if text.ends_with("_FAILED") => Self::Failed(None),
            _ => Self::Pending,
        })
    }
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

/// A body, read in one pass.
pub(super) struct Body<'a> {
    /// The body itself.
    pub(super) top: Object<'a>,
    /// Its `instruments`, at any place up to [`MAX_DEPTH`].
    pub(super) instruments: Option<Instruments>,
}

/// The value of a member `instruments`.
pub(super) enum Instruments {
    Null,
    Parts(Vec<Part>),
    /// Neither a list nor a map.
    Neither,
}

impl<'a> Body<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(text);
        let read = match reader.peek() {
            Some(b'{') => object(&mut reader, MAX_DEPTH).map(Some),
            _ => reader.value().map(|_| None),
        };
        match read.and_then(|read| reader.end().map(|()| read)) {
            Ok(Some((top, instruments))) => Ok(Self { top, instruments }),
            Ok(None) => Err(Unreadable::NotAnObject),
            Err(Broken) => Err(not_json(text)),
        }
    }
}

/// What is wrong with a text that is not JSON.
fn not_json(text: &str) -> Unreadable {
    let parsed = serde_json::from_str::<IgnoredAny>(text).err();
    let error = parsed.unwrap_or_else(|| de::Error::custom("unexpected character"));
    Unreadable::NotJson {
        line: error.line(),
        column: error.column(),
        reason: error
            .to_string()
            .split(" at line")
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// A JSON object. If a name occurs twice, the last member counts, as in JavaScript and Python.
#[derive(Default)]
pub(super) struct Object<'a>(Vec<Member<'a>>);

struct Member<'a> {
    name: Cow<'a, str>,
    /// The value as it was sent.
    text: &'a str,
    /// The value, if it is an object in which we looked for `instruments`.
    object: Option<Object<'a>>,
}

impl<'a> Object<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|member| member.name.as_ref())
    }

    fn member(&self, name: &str) -> Option<&Member<'a>> {
        self.0.iter().rev().find(|member| member.name == name)
    }

    /// The text of the member of this name, unless it is null.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.member(name).map(|member| member.text).filter(|&text| text != NULL)
    }

    /// The task ids in the places in which [`find_task_ids`] looks, if this is the body.
    fn task_ids(&self) -> Vec<Cow<'a, str>> {
        let mut ids = Ids::default();
        for member in &self.0 {
            match (member.name.as_ref(), &member.object) {
                ("taskId" | "task_id", _) => ids.found_value(member.text),
                ("data", Some(data)) => {
                    let named = |member: &&Member<'_>| matches!(member.name.as_ref(), "taskId" | "task_id");
                    data.0
                        .iter()
                        .filter(named)
                        .for_each(|member| ids.found_value(member.text));
                }
                _ => {}
            }
        }
        ids.usable()
    }

    /// The member of this name, if it is an object.
    pub(super) fn object(&self, name: &str) -> Option<&Self> {
        self.member(name)?.object.as_ref()
    }
}

const NULL: &str = "null";

/// Reads an object, and searches it for `instruments`: depth first, its own member before its other members. Finds the
/// first `instruments` that is not null; if all are null, one of them.
fn object<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<(Object<'a>, Option<Instruments>), Broken> {
    let mut members = Vec::new();
    let (mut own, mut deeper) = (None, None);
    reader.object(|reader, name| {
        let (text, object) = reader.with_text(|reader| {
            if name == "instruments" {
                own = Some(instruments(reader)?);
                return Ok(None);
            }
            let (object, found) = search(reader, depth - 1)?;
            deeper = first(deeper.take(), found);
            Ok(object)
        })?;
        members.push(Member { name, text, object });
        Ok(())
    })?;
    let hidden = |member: &Member<'_>| member.name == "instruments" && member.text != NULL;
    if matches!(own, Some(Instruments::Null)) && members.iter().any(hidden) {
        // Only the last `instruments` counts, but those before it may have others inside.
        deeper = None;
        for member in &members {
            let (_, found) = search(&mut Reader::new(member.text), depth - 1)?;
            deeper = first(deeper, found);
        }
    }
    Ok((Object(members), first(own, deeper)))
}

/// Reads any value, and searches it for `instruments`.
fn search<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<(Option<Object<'a>>, Option<Instruments>), Broken> {
    match reader.peek() {
        Some(b'{') if depth > 0 => {
            let (object, found) = object(reader, depth)?;
            Ok((Some(object), found))
        }
        Some(b'[') if depth > 0 => {
            let mut found = None;
            reader.list(|reader| {
                found = first(found.take(), search(reader, depth - 1)?.1);
                Ok(())
            })?;
            Ok((None, found))
        }
        _ => {
            reader.value()?;
            Ok((None, None))
        }
    }
}

/// The first that is not null; if both are null, one of them.
fn first(a: Option<Instruments>, b: Option<Instruments>) -> Option<Instruments> {
    match a {
        None | Some(Instruments::Null) => b.or(a),
        found => found,
    }
}

fn instruments(reader: &mut Reader<'_>) -> Result<Instruments, Broken> {
    let mut parts = Vec::new();
    match reader.peek() {
        Some(b'[') => reader.list(|reader| {
            parts.push(part(reader)?);
            Ok(())
        })?,
        // Some resellers of the same data send a map from name to notes.
        Some(b'{') => reader.object(|reader, name| {
            let (name, notes) = (name.into_owned(), notes(reader)?);
            parts.push(Part { name, notes });
            Ok(())
        })?,
        _ if reader.value()? == NULL => return Ok(Instruments::Null),
        _ => return Ok(Instruments::Neither),
    }
    Ok(Instruments::Parts(parts))
}

fn part(reader: &mut Reader<'_>) -> Result<Part, Broken> {
    let mut part = Part::default();
    members(reader, |reader, name| {
        match name {
            "name" => part.name = text_of(reader.value()?).unwrap_or_default().into_owned(),
            "notes" => part.notes = notes(reader)?,
            _ => drop(reader.value()?),
        }
        Ok(())
    })?;
    Ok(part)
}

/// Reads a list of notes, or an object that has one.
fn notes(reader: &mut Reader<'_>) -> Result<Vec<SentNote>, Broken> {
    if reader.peek() == Some(b'[') {
        return list_of_notes(reader);
    }
    let mut notes = Vec::new();
    members(reader, |reader, name| {
        if name == "notes" {
            notes = list_of_notes(reader)?;
        } else {
            reader.value()?;
        }
        Ok(())
    })?;
    Ok(notes)
}

fn list_of_notes(reader: &mut Reader<'_>) -> Result<Vec<SentNote>, Broken> {
    let mut notes = Vec::new();
    if reader.peek() == Some(b'[') {
        reader.list(|reader| {
            notes.push(note(reader)?);
            Ok(())
        })?;
    } else {
        reader.value()?;
    }
    Ok(notes)
}

fn note(reader: &mut Reader<'_>) -> Result<SentNote, Broken> {
    let mut note = SentNote::EMPTY;
    members(reader, |reader, name| {
        let value = reader.value()?;
        let member = match name {
            "pitch" => &mut note.pitch,
            "start" => &mut note.start,
            "end" => &mut note.end,
            "velocity" => &mut note.velocity,
            _ => return Ok(()),
        };
        *member = number_of(value).unwrap_or(f64::NAN);
        Ok(())
    })?;
    Ok(note)
}

/// Reads an object, or a value that has no members.
fn members<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&mut Reader<'a>, &str) -> Result<(), Broken>,
) -> Result<(), Broken> {
    if reader.peek() == Some(b'{') {
        reader.object(|reader, name| each(reader, &name))
    } else {
        reader.value().map(drop)
    }
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
            pitch: 60.0,
            start: 1.0,
            end: 1.5,
            velocity: 0.5,
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
        let inside = format!(
            r#"{{"instruments":[{{"instruments":[{PIANO},{PIANO}]}}],"x":{{"instruments":[]}},"instruments":null}}"#
        );
        assert_eq!(parts(&inside).len(), 2);
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
        let numbers = |note: &SentNote| [note.pitch, note.start, note.end, note.velocity];
        assert!(parts[1].notes[..2].iter().flat_map(numbers).all(f64::is_nan));
        let odd = parts[1].notes[2];
        assert_eq!((odd.pitch, odd.velocity), (f64::INFINITY, 1.0));
        assert!(odd.start.is_nan() && odd.end.is_nan());
        assert_eq!(parts[1].notes[3].pitch, 5.0);
        assert_eq!(
            self::parts("{\"data\":{\"instruments\":[{\"name\":\"a\u{fffd}\"}]}}")[0].name,
            "a\u{fffd}"
        );
    }
}
