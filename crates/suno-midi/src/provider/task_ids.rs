//! Finds the task ids in a body before its sender is verified.
//!
//! Anybody can post a body, so this must be cheap: one pass, which stores only the ids. The receiver checks that the
//! body is JSON only after it knows the sender ([`super::check_json`]).

use std::borrow::Cow;

use super::{
    body::text,
    json::{Broken, Reader},
};
use crate::TaskId;

/// Maximum number of ids in a body; more is treated as an attack. There are four documented places for an id.
pub const MAX_IDS: usize = 8;

/// The most bytes of a usable id in the body: each of its characters may be written as an escape of six bytes.
const MAX_ESCAPED_ID: usize = 6 * TaskId::MAX_LENGTH;

/// The most bytes of an id for which we verify a signature.
const MAX_ID: usize = 16 * 1024;

/// Finds the different task ids in a body, in order.
///
/// Looks in the four places that the provider's pages document: `data.taskId`, `data.task_id`, `taskId` and `task_id`.
/// Null and empty ids count as absent. A result with several ids means that the body contradicts itself. A body that
/// names its task more than [`MAX_IDS`] times has no id. In a body that is not JSON, this finds the ids before the mistake.
///
/// ```
/// use suno_midi::provider::task_ids::find_task_ids;
///
/// let ids = find_task_ids(br#"{"code": 200, "data": {"taskId": "5c79", "instruments": []}}"#);
/// assert_eq!(ids, ["5c79"]);
/// ```
pub fn find_task_ids(body: &[u8]) -> Vec<Cow<'_, str>> {
    match text(body) {
        Cow::Borrowed(text) => ids(text).usable(),
        Cow::Owned(text) => ids(&text).into_owned().usable(),
    }
}

pub(super) fn ids(text: &str) -> Ids<'_> {
    let mut ids = Ids::default();
    let _ = Reader::new(text).members(|reader, name| {
        if is_named(name, "data") && reader.peek() == Some(b'{') {
            return reader.members(|reader, name| ids.member(reader, name));
        }
        ids.member(reader, name)
    });
    ids
}

/// The ids that were found.
#[derive(Default)]
pub(super) struct Ids<'a> {
    distinct: Vec<Cow<'a, str>>,
    /// How many were found, including equal and empty ones.
    seen: usize,
}

impl<'a> Ids<'a> {
    /// Adds what was found in another place.
    pub(super) fn add(&mut self, other: Self) {
        self.seen += other.seen;
        for id in other.distinct {
            if self.seen <= MAX_IDS && !self.distinct.contains(&id) {
                self.distinct.push(id);
            }
        }
    }

    pub(super) fn into_owned<'b>(self) -> Ids<'b> {
        let owned = |id: Cow<'_, str>| Cow::Owned(id.into_owned());
        Ids {
            seen: self.seen,
            distinct: self.distinct.into_iter().map(owned).collect(),
        }
    }

    /// The ids, unless there are more than [`MAX_IDS`].
    pub(super) fn usable(self) -> Vec<Cow<'a, str>> {
        if self.seen > MAX_IDS { Vec::new() } else { self.distinct }
    }

    /// Notes the value of a member that holds a task id: a string or a number.
    pub(super) fn found_value(&mut self, value: &'a str) {
        match value.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) => self.found(text),
            None if value.bytes().all(|byte| byte.is_ascii_digit()) => self.found(value),
            None => {}
        }
    }

    /// Reads the value of a member, and notes it if it is an id.
    fn member(&mut self, reader: &mut Reader<'a>, name: &str) -> Result<(), Broken> {
        if let Some(b'{' | b'[') = reader.peek() {
            return reader.skip_nested();
        }
        let value = reader.value()?;
        if is_named(name, "taskId") || is_named(name, "task_id") {
            self.found_value(value);
        }
        if self.seen > MAX_IDS { Err(Broken) } else { Ok(()) }
    }

    fn found(&mut self, text: &'a str) {
        self.seen += 1;
        if self.seen > MAX_IDS {
            return;
        }
        let id = decoded(text);
        if !id.is_empty() && !self.distinct.contains(&id) {
            self.distinct.push(id);
        }
    }
}

/// Whether a name in the body, with its quotes, means `name`; its letters may be escaped. We compare without decoding: a
/// decoded name of a stranger could need as much memory as the body.
fn is_named(sent: &str, name: &str) -> bool {
    let mut rest = &sent.as_bytes()[1..sent.len() - 1];
    for letter in name.bytes() {
        rest = match rest {
            [b'\\', b'u', b'0', b'0', high, low, after @ ..]
                if hex_value(*high) == Some(letter >> 4) && hex_value(*low) == Some(letter & 15) =>
            {
                after
            }
            [first, after @ ..] if *first == letter => after,
            _ => return false,
        };
    }
    rest.is_empty()
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

/// Decodes the string between two quotes. A string that is too long or not valid JSON must not count as absent, so it
/// becomes an id that no signature can match.
fn decoded(text: &str) -> Cow<'_, str> {
    if text.len() > MAX_ID {
        return "\u{fffd}".into();
    }
    let has_escapes = text.contains('\\') && text.len() <= MAX_ESCAPED_ID;
    let decoded = has_escapes.then(|| serde_json::from_str(&["\"", text, "\""].concat()));
    decoded.and_then(Result::ok).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::provider::callback::read_with_task_ids;

    fn ids(body: &str) -> Vec<Cow<'_, str>> {
        let ids = find_task_ids(body.as_bytes());
        assert_eq!(read_with_task_ids(body.as_bytes()).0, ids, "{body}");
        ids
    }

    #[test]
    fn an_id_is_found_in_each_documented_place() {
        for body in [
            r#"{"data":{"taskId":"a"}}"#,
            r#"{"task_id":"a","data":null}"#,
            r#"{"data":{"task_id":"a"}}"#,
            r#"{"taskId":"a"}"#,
            "\n{ \"taskId\"\t:\r\n\"a\" } ",
            r#"{"taskId":"a","task_id":"a","data":{"taskId":"a","task_id":"a","instruments":[{"taskId":"b"}]}}"#,
            "\u{feff}{\"taskId\":\"a\"}",
            r#"{"taskId":"","data":{"taskId":null,"task_id":"a"}}"#,
            r#"{"task\u0049d":"a"}"#,
            r#"{"\u0074\u0061\u0073\u006b\u005F\u0069\u0064":"a"}"#,
            r#"{"d\u0061ta":{"taskI\u0064":"a"},"taskId\u0000":"b","\u00":"b","task\\u0049d":"b","\u0174askId":"b"}"#,
            r#"{"task_id":"\u0061"}"#,
            r#"{"x":"}{\"taskId\":\"b\"","y":"\\","z":[[{}],"]"],"taskId":"a"}"#,
            r#"{"data":{"instruments":[{"name":"data"}]},"taskId":"a"}"#,
            r#"{"data":"taskId","taskId":"a"}"#,
        ] {
            assert_eq!(ids(body), ["a"], "{body}");
        }
        assert_eq!(ids(r#"{"taskId":12}"#), ["12"]);
    }

    #[test]
    fn ids_that_differ_are_all_reported() {
        assert_eq!(ids(r#"{"taskId":"a","data":{"taskId":"b"}}"#), ["a", "b"]);
        assert_eq!(ids(r#"{"taskId":"a","taskId":"b"}"#), ["a", "b"]);
        assert_eq!(ids(r#"{"taskId":"a","task_id":"\ud800"}"#), ["a", "\\ud800"]);
        assert_eq!(
            ids(r#"{"taskId":1,"task_id":2,"data":{"taskId":3,"task_id":4},"taskId":5}"#),
            ["1", "2", "3", "4", "5"]
        );
    }

    #[test]
    fn a_body_that_names_its_task_too_often_has_no_id() {
        let body = |times| format!(r#"{{"x":1{}}}"#, r#","taskId":"a""#.repeat(times));
        assert_eq!(ids(&body(MAX_IDS)), ["a"]);
        assert_eq!(ids(&body(MAX_IDS + 1)), [""; 0]);
        // Reading stops at a mistake.
        assert_eq!(ids(&body(MAX_IDS).replace('}', ",")), ["a"]);
        assert_eq!(ids(r#"{"x":nul,"taskId":"a"}"#), [""; 0]);
    }

    #[test]
    fn an_id_that_is_too_long_matches_no_signature() {
        for (letters, expected) in [(16_384, "x".repeat(16_384)), (16_385, "\u{fffd}".to_owned())] {
            assert_eq!(ids(&format!(r#"{{"taskId":"{}"}}"#, "x".repeat(letters))), [expected]);
        }
    }

    #[test]
    fn a_short_id_is_decoded_and_a_long_one_is_not() {
        let longest = r"\u0061".repeat(TaskId::MAX_LENGTH);
        assert_eq!(
            ids(&format!(r#"{{"taskId":"{longest}"}}"#)),
            ["a".repeat(TaskId::MAX_LENGTH)]
        );
        let long = r"\n".repeat(400);
        assert_eq!(ids(&format!(r#"{{"taskId":"{long}"}}"#)), [long]);
    }

    #[test]
    fn ids_in_other_places_are_ignored() {
        for body in [
            "",
            "null",
            "[]",
            "7",
            r#""taskId""#,
            "{}",
            r#"{"data":[{"taskId":"a"}]}"#,
            r#"{"x":{"taskId":"a"}}"#,
            r#"{"taskId":{"taskId":"a"}}"#,
            r#"{"data":{"data":{"taskId":"a"}}}"#,
            r#"{"taskId":-1}"#,
            r#"{"taskId":1.5}"#,
            r#"{"taskId":true}"#,
            r#"{"x":"taskId","y":"a"}"#,
            r#"{} {"taskId":"a"}"#,
            r#"{},"taskId":"a""#,
            r#"{"x":1},"taskId":"a""#,
            r#""taskId":"a""#,
            r#"{"tazkId":"a","tusk_id":"a","taskIe":"a"}"#,
            r#"{"dara":{"taskId":"a"}}"#,
            r#"{"\u0075askId":"a","t\u0051skId":"a","\u0064\u0061\u0075\u0061":{"taskId":"a"}}"#,
            "taskId=a",
            "\u{1f}\u{8b}\u{8}",
        ] {
            assert_eq!(ids(body), [""; 0], "{body}");
        }
        // The provider sends no lists. A reader that is given one looks in it.
        assert_eq!(find_task_ids(br#"[{"taskId":"a"}]"#), [""; 0]);
    }

    #[test]
    fn the_ids_of_a_request_and_of_a_result_are_not_the_tasks() {
        let other = r#"{\"task_id\":\"b\",\"taskId\":\"b\",\"data\":{\"taskId\":\"b\"}}"#;
        let jobs = format!(r#"{{"data":{{"taskId":"a","param":"{other}","resultJson":"{other}"}}}}"#);
        assert_eq!(ids(&jobs), ["a"]);
        assert_eq!(
            ids(&jobs.replace("\"{", "{").replace("}\"", "}").replace('\\', "")),
            ["a"]
        );
    }
}
