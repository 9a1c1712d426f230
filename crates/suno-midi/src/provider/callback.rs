//! What a body says about its task: a callback, or an answer of the provider's "Get MIDI Generation Details"
//! (record-info), in both forms of its API.
//!
//! The old form has `data.instruments` or `data.midiData.instruments`. The new form ("jobs") has `data.model`,
//! `data.state` and `data.resultJson`. Reading is lenient at each level: an unreadable value is lost alone, not with the
//! song around it. But a body in which we find no notes is an empty song only if it says so.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::{self, IgnoredAny};
use thiserror::Error;

pub use super::body::text;
use super::{
    NotJson,
    body::{Body, Object},
    json::{Reader, with_text_of},
    meaning::{CALLBACK_MEMBERS, callback, is},
    search::{Instruments, bare, has_notes},
    task_ids::{self, Ids},
};
use crate::score::RawPart;

/// What a body says about its task.
#[derive(Debug, Clone, PartialEq)]
pub enum Callback {
    /// The transcription is done. Without notes, the body says that there are none.
    Song(Vec<RawPart>),
    /// The provider could not transcribe the song.
    Failed {
        /// The provider's code, if it sent a number: `failCode`, `errorCode`, `successFlag` or `code`.
        code: Option<i64>,
        /// The provider's words.
        message: String,
    },
    /// The task had not finished when this was sent.
    Pending,
    /// It is about another product of the provider.
    Unsupported {
        /// What the body calls the product, or what its members show; `None` if neither tells.
        product: Option<String>,
    },
    /// We find no song in it, and it does not say that there is none: the provider may have changed its form.
    Unreadable {
        /// The names of its members, with their places, such as `data.resultJson.tracks[].title`.
        members: Vec<String>,
    },
}

/// A body that says nothing about a task.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotACallback {
    /// It is not JSON.
    #[error(transparent)]
    NotJson(#[from] NotJson),
    /// It is JSON, but neither an object nor a list of objects.
    #[error("the body is JSON, but neither an object nor a list of objects, so it is no callback")]
    NoObject,
    /// The provider's answer to a question about a task that it does not know, or no longer.
    #[error("this is no callback but the provider's answer that it does not know the task")]
    UnknownTask,
    /// The provider's answer to a request that started a task.
    #[error("this is no callback but the answer to the request that started the task: the notes come later")]
    NewTask,
    /// The error of a server between us and the provider.
    #[error("this is no callback but the error of a web server{}", if .0.is_empty() { String::new() } else { format!(": {}", .0) })]
    ServerError(
        /// What it says, on one line.
        String,
    ),
    /// An object with other members.
    #[error("the body has none of the members of a callback: {}", if .0.is_empty() { "it is empty".to_owned() } else { format!("it has {}", .0.join(", ")) })]
    OtherObject(
        /// The names of its members, with their places.
        Vec<String>,
    ),
}

/// Reads a callback or a record-info answer.
///
/// The notes are in a member `instruments`. It may be at any place up to five levels deep, and in JSON that is in a text,
/// such as `data.resultJson`. A body that is saved with the request around it (an event of API Gateway, an item of n8n) is
/// read, too; of several in a list, the one with the most to say.
///
/// # Errors
/// [`NotACallback`] if the body is neither.
pub fn read(body: &[u8]) -> Result<Callback, NotACallback> {
    interpret(&text(body), MAX_COVERS).1
}

/// Reads a body like [`read`], and the task ids that its cover names, as [`task_ids::find_task_ids`] does.
pub fn read_with_task_ids(body: &[u8]) -> (Vec<Cow<'_, str>>, Result<Callback, NotACallback>) {
    match text(body) {
        Cow::Borrowed(text) => {
            let (ids, said) = interpret(text, MAX_COVERS);
            (ids.usable(), said)
        }
        Cow::Owned(text) => {
            let (ids, said) = interpret(&text, MAX_COVERS);
            (ids.into_owned().usable(), said)
        }
    }
}

/// How many lists and saved requests may be around a body.
const MAX_COVERS: usize = 3;

/// The task ids of a body, and what it says.
type Said<'a> = (Ids<'a>, Result<Callback, NotACallback>);

fn interpret(text: &str, covers: usize) -> Said<'_> {
    if text.trim_start().starts_with('[') {
        return list(text, covers);
    }
    match Body::read(text) {
        Ok(Some(body)) => match enclosed(&body.top).filter(|_| covers > 0) {
            Some(inner) => inner.interpret(covers - 1),
            None => (body.top.task_ids(), callback(text, body)),
        },
        Ok(None) => (Ids::default(), Err(NotACallback::NoObject)),
        Err(_) => (task_ids::ids(text), Err(not_json(text).into())),
    }
}

/// Reads a list of callbacks, or of instruments.
fn list(text: &str, covers: usize) -> Said<'_> {
    let mut ids = Ids::default();
    let mut best = Err(NotACallback::NoObject);
    let mut reader = Reader::new(text);
    let read = reader.list(|reader| {
        let element = reader.value()?;
        if covers > 0 && element.starts_with(['{', '[']) {
            let (found, said) = interpret(element, covers - 1);
            ids.add(found);
            if weight(&said) > weight(&best) {
                best = said;
            }
        }
        Ok(())
    });
    if read.and_then(|()| reader.end()).is_err() {
        return (ids, Err(not_json(text).into()));
    }
    if !matches!(&best, Ok(Callback::Song(parts)) if has_notes(parts))
        && let Some(Instruments::Parts(parts)) = bare(text)
    {
        best = Ok(Callback::Song(parts));
    }
    (ids, best)
}

/// Of several callbacks in a list, the heaviest counts.
fn weight(said: &Result<Callback, NotACallback>) -> usize {
    match said {
        Err(NotACallback::NoObject) => 0,
        Err(_) => 1,
        Ok(Callback::Unsupported { .. }) => 2,
        Ok(Callback::Pending) => 3,
        Ok(Callback::Failed { .. }) => 4,
        Ok(Callback::Song(parts)) if !has_notes(parts) => 5,
        // It may have a song.
        Ok(Callback::Unreadable { .. }) => 6,
        Ok(Callback::Song(_)) => 7,
    }
}

/// The body of a saved request.
struct Enclosed<'a> {
    value: &'a str,
    is_base64: bool,
}

/// The body in a saved request: it has a body, and nothing that a callback has.
fn enclosed<'a>(top: &Object<'a>) -> Option<Enclosed<'a>> {
    let value = top.get("body").filter(|value| value.starts_with(['{', '[', '"']))?;
    let is_callback = top.names().any(|name| CALLBACK_MEMBERS.contains(&name));
    (!is_callback).then(|| Enclosed {
        value,
        is_base64: is("true", top, "isBase64Encoded"),
    })
}

impl<'a> Enclosed<'a> {
    fn interpret(self, covers: usize) -> Said<'a> {
        if !self.value.starts_with('"') {
            return interpret(self.value, covers);
        }
        let read = |inner: &str| {
            let bytes = STANDARD.decode(inner).ok().filter(|_| self.is_base64);
            let inner = bytes.as_deref().map_or(Cow::Borrowed(inner), text);
            let (ids, said) = interpret(&inner, covers);
            (ids.into_owned(), said)
        };
        with_text_of(self.value, read).unwrap_or((Ids::default(), Err(NotACallback::NoObject)))
    }
}

/// Reads an answer, which is one object.
pub(super) fn object(text: &str) -> Result<Body<'_>, NotACallback> {
    match Body::read(text) {
        Ok(body) => body.ok_or(NotACallback::NoObject),
        Err(_) => Err(not_json(text).into()),
    }
}

/// What is wrong with a text that is not JSON.
fn not_json(text: &str) -> NotJson {
    let parsed = serde_json::from_str::<IgnoredAny>(text).err();
    NotJson::of(
        text,
        &parsed.unwrap_or_else(|| de::Error::custom("unexpected character")),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::score::RawNote;

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!(r#"{{"x":{}{},"taskId":"a"}}"#, "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(super::super::task_ids::find_task_ids(deep.as_bytes()), ["a"]);
        assert_eq!(super::super::check_json(deep.as_bytes()), Ok(()));
        let members = ["x", "taskId"].map(str::to_owned).into();
        assert_eq!(read(deep.as_bytes()), Ok(Callback::Unreadable { members }));
    }

    fn parts(body: &str) -> Vec<RawPart> {
        match read(body.as_bytes()) {
            Ok(Callback::Song(parts)) => parts,
            other => panic!("{body}: {other:?}"),
        }
    }

    const PIANO: &str = r#"{"name":"Piano","notes":[{"velocity":0.5,"pitch":60,"end":"1.5","start":1}]}"#;

    #[test]
    fn instruments_are_found_in_any_place() {
        let note = RawNote {
            pitch: 60.0,
            start: 1.0,
            end: 1.5,
            velocity: 0.5,
        };
        let expected = [RawPart {
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
        assert!(matches!(
            read(nested(5).as_bytes()),
            Ok(Callback::Unreadable { .. }) | Err(NotACallback::OtherObject(_))
        ));
        let inside = format!(
            r#"{{"instruments":[{{"instruments":[{PIANO},{PIANO}]}}],"x":{{"instruments":[]}},"instruments":null}}"#
        );
        assert_eq!(parts(&inside).len(), 2);
        let past_null = format!(r#"{{"data":{{"a":{{"instruments":null}},"b":{{"instruments":[{PIANO}]}}}}}}"#);
        assert_eq!(parts(&past_null).len(), 1);
    }

    #[test]
    fn a_song_is_empty_only_if_the_body_says_so() {
        for body in [
            r#"{"code":200,"data":{"taskId":"a","state":"complete"}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","instruments":null}}"#,
            r#"{"code":200,"data":{"taskId":"a","instruments":[]}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","newMember":1}}"#,
            r#"{"code":200,"data":{"taskId":"a","successFlag":1,"midiData":{}}}"#,
            r#"{"code":200,"data":{"taskId":"a","successFlag":1,"midiData":""}}"#,
            r#"{"code":200,"data":{"taskId":"a","callbackUrl":"https://example.com/c","recordTaskId":-1,"successFlag":1,"errorCode":"","midiData":null}}"#,
            r#"{"code":200,"data":{"taskId":"a","successFlag":1,"midiData":"{\"state\":\"complete\",\"instruments\":[]}"}}"#,
            r#"{"code":200,"data":{"model":"ai-music-api/generate-midi-from-audio","state":"success","resultJson":"{\"instruments\":[]}"}}"#,
            r#"{"instruments":{}}"#,
        ] {
            assert_eq!(parts(body), [], "{body}");
        }
        for notes in ["", r#","notes":null"#, r#","notes":[]"#, r#","notes":{"notes":[]}"#] {
            let body = format!(r#"{{"code":200,"data":{{"instruments":[{{"name":"Drums"{notes}}}]}}}}"#);
            assert_eq!(
                parts(&body),
                [RawPart {
                    name: "Drums".into(),
                    notes: vec![]
                }],
                "{body}"
            );
        }
    }

    #[test]
    fn what_we_cannot_read_is_no_empty_song() {
        let jobs = |result: &str| {
            format!(
                r#"{{"code":200,"data":{{"taskId":"a","model":"ai-music-api/generate-midi-from-audio","state":"success","resultJson":{result}}}}}"#
            )
        };
        for body in [
            r#"{"code":200,"data":null,"taskId":"a"}"#,
            r#"{"code":200,"data":{"taskId":"a","instruments":null}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","tracks":[{"name":"Drums"}]}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","midiUrl":"https://example.com/a.mid"}}"#,
            r#"{"code":200,"data":{"taskId":"a","successFlag":1,"midiData":"https://example.com/a.mid"}}"#,
            r#"{"code":200,"data":{"taskId":"a","successFlag":1,"midiData":"TVRoZAAAAAYAAQ=="}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","midi_file":"songs/a.mid"}}"#,
            r#"{"code":200,"data":{"taskId":"a","successFlag":1,"midiData":"{\"instruments\":[{"}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"archived","instruments":null}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":3,"instruments":[]}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","instruments":"none"}}"#,
            r#"{"code":200,"data":{"instruments":3}}"#,
            r#"{"code":200,"data":{"instruments":["Drums"]}}"#,
            r#"{"code":200,"data":{"instruments":[{"name":"Drums","notes":3}]}}"#,
            r#"{"code":200,"data":{"instruments":[{"name":"Drums","events":[{"pitch":36}]}]}}"#,
            r#"{"code":200,"data":{"instruments":{"Drums":"C4"}}}"#,
            r#"{"success":true,"task_id":"a","data":[]}"#,
            r#"{"success":true,"task_id":"a","data":[{"state":"complete"},{"resultJson":"x"}]}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","instruments":null},"midi_url":"a.mid"}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","output":"data:audio/midi;base64,TVRoZA"}}"#,
            r#"{"code":200,"data":{"taskId":"a","state":"complete","callbackData":{"events":[[60,0,1]]}}}"#,
            r#"{"code":200,"data":{"instruments":{"Drums":{"notes":null,"events":[[60,0,1]]}}}}"#,
            r#"{"code":200,"data":{"instruments":[{"name":"Drums","notes":[],"midi":"TVRoZA"}]}}"#,
            r#"[{"code":200,"data":{"state":"complete"}},{"code":200,"data":{"state":"complete","song":"//x/y"}}]"#,
            r#"{"code":200,"data":{"model":"a/midi","state":"success","instruments":[],"resultJson":null}}"#,
            &jobs(r#""{\"instruments\":[],\"resultUrls\":[\"https://example.com/a.mid\"]}""#),
            &jobs("null"),
            &jobs(r#""""#),
            &jobs(r#""{\"resultUrls\":[\"https://example.com/a.mid\"]}""#),
            &jobs(r#""{\"state\":\"complete\"}""#),
            &jobs(r#""[{\"name\":\"Drums\",\"notes\":[]}]""#),
            &jobs(r#""{\"instruments\":[{\"no""#),
        ] {
            assert!(
                matches!(read(body.as_bytes()), Ok(Callback::Unreadable { members }) if !members.is_empty()),
                "{body}: {:?}",
                read(body.as_bytes())
            );
        }
    }

    #[test]
    fn an_unreadable_body_tells_its_shape_and_not_its_values() {
        let body = r#"{"code":200,"data":{"param":"{\"input\":{}}","model":"ai-music-api/generate-midi-from-audio",
            "resultJson":"{\"tracks\":[{\"title\":\"secret\"},{\"midi\\u0007\":[1]}],\"resultUrls\":[\"secret\"]}"}}"#;
        let members = [
            "code",
            "data",
            "data.param",
            "data.model",
            "data.resultJson",
            "data.resultJson.tracks",
            "data.resultJson.tracks[].title",
            "data.resultJson.tracks[].midi",
            "data.resultJson.resultUrls",
        ];
        let members = members.map(str::to_owned).into();
        assert_eq!(read(body.as_bytes()), Ok(Callback::Unreadable { members }));
        let many: Vec<String> = (0..1000)
            .map(|n| format!(r#""{n}{}":{{"x":1}}"#, "y".repeat(99)))
            .collect();
        let many = format!(r#"{{"code":200,"data":{{{}}}}}"#, many.join(","));
        let Ok(Callback::Unreadable { members }) = read(many.as_bytes()) else {
            panic!("readable")
        };
        assert_eq!(members.len(), 100);
        assert!(members.iter().all(|name| name.chars().count() <= 70));
    }

    #[test]
    fn the_new_form_is_read_wherever_its_notes_are() {
        let quoted = |json: &str| serde_json::Value::from(json).to_string();
        let song = format!(r#"{{"instruments":[{PIANO}]}}"#);
        let wrap = |name: &str| format!(r#"{{"{name}":{song}}}"#);
        let results = [
            song.clone(),
            format!("[{song}]"),
            format!("[{PIANO}]"),
            format!(r#"{{"resultObject":[{PIANO}]}}"#),
            wrap("data"),
            wrap("midiData"),
            wrap("resultObject"),
            format!(r#"{{"data":{{"midiData":{}}}}}"#, quoted(&song)),
            format!(r#"{{"instruments":{}}}"#, quoted(&format!("[{PIANO}]"))),
            format!(r#"{{"instruments":[],"midiData":{song}}}"#),
        ];
        for result in results.iter().flat_map(|result| [result.clone(), quoted(result)]) {
            for state in [r#""success""#, r#""of tomorrow""#, "null"] {
                let body = format!(
                    r#"{{"code":200,"msg":"Playground task completed successfully.","data":{{"taskId":"a","model":"ai-music-api/generate-midi-from-audio","state":{state},"param":"{{\"input\":{{\"instruments\":[{{}}]}}}}","resultJson":{result},"failCode":null,"failMsg":null}}}}"#
                );
                assert_eq!(parts(&body).len(), 1, "{body}");
                assert_eq!(read_with_task_ids(body.as_bytes()).0, ["a"]);
            }
        }
        let text_in_text =
            |levels: usize| (0..levels).fold(song.clone(), |json, _| format!(r#"{{"x":{}}}"#, quoted(&json)));
        assert_eq!(parts(&text_in_text(2)).len(), 1);
        assert!(read(text_in_text(3).as_bytes()).is_err());
    }

    #[test]
    fn the_state_of_the_new_form_tells_how_a_task_went() {
        let said = |state: &str| {
            let body = format!(
                r#"{{"code":200,"msg":"success","data":{{"taskId":"a","model":"ai-music-api/generate-midi-from-audio","state":"{state}","resultJson":null,"failCode":"422","failMsg":"no vocals"}}}}"#
            );
            read(body.as_bytes()).unwrap()
        };
        for state in ["fail", "failed", "FAILED"] {
            let (code, message) = (Some(422), "no vocals".to_owned());
            assert_eq!(said(state), Callback::Failed { code, message }, "{state}");
        }
        for state in ["waiting", "queuing", "generating", "running", "pending"] {
            assert_eq!(said(state), Callback::Pending, "{state}");
        }
        for state in ["success", "done", ""] {
            assert!(matches!(said(state), Callback::Unreadable { .. }), "{state}");
        }
    }

    #[test]
    fn a_body_is_found_in_what_was_saved_around_it() {
        let quoted = |json: &str| serde_json::Value::from(json).to_string();
        let song = format!(r#"{{"code":200,"data":{{"taskId":"a","instruments":[{PIANO}]}}}}"#);
        let event = |body: &str, encoded: bool| {
            format!(
                r#"{{"version":"2.0","headers":{{}},"body":{},"isBase64Encoded":{encoded}}}"#,
                quoted(body)
            )
        };
        for saved in [
            event(&song, false),
            event(&STANDARD.encode(&song), true),
            format!(r#"[{{"headers":{{}},"body":{song}}}]"#),
            format!(r#"[{{"data":null,"code":200}},{song}]"#),
            format!("[{}]", event(&song, false)),
        ] {
            assert_eq!(parts(&saved).len(), 1, "{saved}");
            assert_eq!(read_with_task_ids(saved.as_bytes()).0, ["a"], "{saved}");
        }
        assert_eq!(parts(&format!("[{PIANO}]")).len(), 1);
        let utf16 = |mark: &[u8], unit: fn(u16) -> [u8; 2]| {
            [mark, &song.encode_utf16().flat_map(unit).collect::<Vec<_>>()].concat()
        };
        for utf16 in [
            utf16(b"\xff\xfe", u16::to_le_bytes),
            utf16(b"\xfe\xff", u16::to_be_bytes),
        ] {
            let (ids, read) = read_with_task_ids(&utf16);
            assert!(matches!(read, Ok(Callback::Song(parts)) if parts.len() == 1));
            assert_eq!(ids, ["a"]);
        }
        assert_eq!(read(event("", false).as_bytes()), Err(NotJson::Empty.into()));
        let two = [song.clone(), song.replace("\"a\"", "\"b\"")].join(",");
        assert_eq!(read_with_task_ids(format!("[{two}]").as_bytes()).0, ["a", "b"]);
    }

    #[test]
    fn what_is_no_callback_is_named() {
        let error = |body: &str| read(body.as_bytes()).unwrap_err();
        for body in [
            r#"{"code":200,"msg":"success","data":null}"#,
            r#"{"code":200,"data":{}}"#,
            r#"{"code":404,"msg":"recordInfo is null","data":null}"#,
            r#"{"code":422,"msg":"Record does not exist"}"#,
        ] {
            assert_eq!(error(body), NotACallback::UnknownTask, "{body}");
        }
        let started = r#"{"code":200,"msg":"success","data":{"taskId":"task_12345678"}}"#;
        assert_eq!(error(started), NotACallback::NewTask);
        for (body, said) in [
            (
                r#"{"message":"Endpoint request timed out"}"#,
                "Endpoint request timed out",
            ),
            (
                r#"{"timestamp":1,"status":504,"error":"Gateway Timeout"}"#,
                "504 Gateway Timeout",
            ),
            (
                r#"{"code":504,"msg":"upstream\u001b[0m timed out"}"#,
                "504 upstream [0m timed out",
            ),
            (r#"{"statusCode":502}"#, "502"),
        ] {
            assert_eq!(error(body), NotACallback::ServerError(said.to_owned()), "{body}");
        }
        for (body, said) in [
            ("{}", "the body has none of the members of a callback: it is empty"),
            (
                r#"{"a":{"b":1}}"#,
                "the body has none of the members of a callback: it has a, a.b",
            ),
            (
                "[]",
                "the body is JSON, but neither an object nor a list of objects, so it is no callback",
            ),
            (
                "7",
                "the body is JSON, but neither an object nor a list of objects, so it is no callback",
            ),
        ] {
            assert_eq!(error(body).to_string(), said);
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
                r#"{"code":501,"msg":"Playground task failed.","data":{"model":"ai-music-api/generate-midi-from-audio","state":"fail","failCode":"500","failMsg":"Internal Error"}}"#
            ),
            expected
        );
        assert_eq!(
            failed(r#"{"success":false,"task_id":"a","error":{"message":"no"}}"#),
            Ok(Callback::Failed {
                code: None,
                message: "no".into()
            })
        );
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
    fn other_products_are_named() {
        for (other, product) in [
            (
                r#"{"code":200,"data":{"callbackType":"complete","task_id":"a","data":[{"id":"x"}]}}"#,
                Some("music or lyrics"),
            ),
            (
                r#"{"code":200,"data":{"task_id":"a","vocal_removal_info":{"vocal_url":"u"}}}"#,
                Some("vocal separation"),
            ),
            (
                r#"{"code":500,"data":{"task_id":"a","vocal_separation_info":null}}"#,
                Some("vocal separation"),
            ),
            (
                r#"{"code":200,"data":{"task_id":"a","audioWavUrl":"u"}}"#,
                Some("WAV conversion"),
            ),
            (
                r#"{"code":200,"data":{"task_id":"a","successFlag":"SUCCESS","response":{"vocalUrl":"u"}}}"#,
                None,
            ),
            (
                r#"{"code":501,"data":{"task_id":"a","model":"grok-imagine/text-to-image","state":"fail","failMsg":"no"}}"#,
                Some("grok-imagine/text-to-image"),
            ),
            (
                r#"{"code":200,"data":{"task_id":"a","model":"ai-music-api/separate-vocals","state":"waiting"}}"#,
                Some("ai-music-api/separate-vocals"),
            ),
        ] {
            let product = product.map(str::to_owned);
            assert_eq!(read(other.as_bytes()), Ok(Callback::Unsupported { product }), "{other}");
        }
        for (body, state) in [
            (
                r#"{"code":200,"data":{"data":{"data":{"successFlag":0,"midiData":{"instruments":[]}}}}}"#,
                Callback::Pending,
            ),
            (
                r#"{"taskId":"a","state":"running","data":{"instruments":[]}}"#,
                Callback::Pending,
            ),
            (
                r#"{"code":200,"data":{"successFlag":null,"midiData":"{\"state\":\"running\",\"instruments\":[]}"}}"#,
                Callback::Pending,
            ),
            (
                r#"{"success":false,"message":"no","task_id":"a","data":{"instruments":[]}}"#,
                Callback::Failed {
                    code: None,
                    message: "no".into(),
                },
            ),
        ] {
            assert_eq!(read(body.as_bytes()), Ok(state), "{body}");
        }
        // Notes say more than the name of a product.
        let song = format!(r#"{{"data":{{"model":"a/b","state":"success","instruments":[{PIANO}]}}}}"#);
        assert_eq!(parts(&song).len(), 1);
        assert_eq!(read(br#"{"code":200,"data":{"successFlag":0}}"#), Ok(Callback::Pending));
        assert_eq!(read(br#"{ "state": "running" }"#), Ok(Callback::Pending));
        assert!(matches!(
            read(b"{"),
            Err(NotACallback::NotJson(NotJson::Broken { line: 1, .. }))
        ));
    }

    #[test]
    fn one_bad_value_spoils_only_itself() {
        let body = r#"{"data":{"instruments":[7,{"name":3,"notes":[null,"x",{"pitch":1e999,"start":"NaN","end":[],"velocity":" 1 "},{"pitch":null,"pitch":5}]}]}}"#;
        let parts = parts(body);
        assert_eq!(parts[0], RawPart::default());
        let numbers = |note: &RawNote| [note.pitch, note.start, note.end, note.velocity];
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
