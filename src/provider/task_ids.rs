//! Which task is this? The ids in a body, before anything in it is believed.
//!
//! Anybody may post a body, so that this must be cheap: the body is passed over once, as tokens,
//! with a count for a memory of its nesting. Whether it is JSON is asked when the sender is known
//! ([`super::check_json`]).

use std::borrow::Cow;

use memchr::memchr2;

use super::without_bom;
use crate::TaskId;

/// More than this many different ids in one body are not told apart: it is malformed long before.
const MAX_DISTINCT_IDS: usize = 4;

/// The most bytes of an id that is fit to be a key: each of its characters may be an escape of six.
const MAX_ESCAPED_ID: usize = 6 * TaskId::MAX_LENGTH;

/// The different task ids in a body, in the order in which they stand there.
///
/// Looks where the provider's pages put one: `data.taskId`, `data.task_id`, `taskId` and
/// `task_id`. Null and empty ids count as absent. More than one id means that the body contradicts
/// itself; at most four are returned. Of a body that is not JSON, what looks like its ids.
///
/// ```
/// use midihook::provider::task_ids::find_task_ids;
///
/// let ids = find_task_ids(br#"{"code": 200, "data": {"taskId": "5c79", "instruments": []}}"#);
/// assert_eq!(ids, ["5c79"]);
/// ```
pub fn find_task_ids(body: &[u8]) -> Vec<Cow<'_, str>> {
    let mut ids = Vec::new();
    let mut place = Place::Outside;
    // The name of the member whose value comes next.
    let mut member = None;
    // How many brackets are open that hold no id.
    let mut passed_over = 0_usize;
    let mut tokens = Tokens {
        body: without_bom(body),
        at: 0,
    };
    while let Some(token) = if passed_over == 0 {
        tokens.next()
    } else {
        tokens.next_bracket()
    } {
        match token {
            Token::Open(_) if passed_over > 0 => passed_over += 1,
            Token::Close if passed_over > 0 => passed_over -= 1,
            Token::Open(bracket) => match (place, member.take(), bracket) {
                (Place::Outside, _, b'{') => place = Place::Top,
                (Place::Top, Some(Name::Data), b'{') => place = Place::Data,
                _ => passed_over = 1,
            },
            Token::Close if place == Place::Data => (place, member) = (Place::Top, None),
            Token::Close => break,
            Token::Comma => member = None,
            Token::Text(text) if place != Place::Outside => match member {
                None => member = Some(Name::of(text)),
                Some(Name::TaskId) => found(&mut ids, decoded(text)),
                Some(_) => {}
            },
            Token::Other(text) if member == Some(Name::TaskId) && text.iter().all(u8::is_ascii_digit) => {
                found(&mut ids, String::from_utf8_lossy(text));
            }
            _ => {}
        }
    }
    ids
}

fn found<'a>(ids: &mut Vec<Cow<'a, str>>, id: Cow<'a, str>) {
    if !id.is_empty() && !ids.contains(&id) && ids.len() < MAX_DISTINCT_IDS {
        ids.push(id);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Top,
    Data,
}

/// The names that matter to the scan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    TaskId,
    Data,
    Other,
}

impl Name {
    fn of(text: &[u8]) -> Self {
        // Each of seven letters may be an escape of six.
        if text.len() > 7 * 6 {
            return Self::Other;
        }
        match decoded(text).as_ref() {
            "taskId" | "task_id" => Self::TaskId,
            "data" => Self::Data,
            _ => Self::Other,
        }
    }
}

/// What a string between its quotes says. One that JSON does not allow, or that is longer than any
/// id, is taken as it stands: it is an id that nobody signs, and not the same as none.
fn decoded(text: &[u8]) -> Cow<'_, str> {
    if text.len() > MAX_ESCAPED_ID {
        return std::str::from_utf8(text).map_or(Cow::Borrowed("\u{fffd}"), Cow::Borrowed);
    }
    if !text.contains(&b'\\') {
        return String::from_utf8_lossy(text);
    }
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice(&quoted).map_or_else(|_| String::from_utf8_lossy(text), Cow::Owned)
}

enum Token<'a> {
    Open(u8),
    Close,
    Comma,
    /// A string, without its quotes.
    Text(&'a [u8]),
    /// A number, a literal, or nothing that JSON knows.
    Other(&'a [u8]),
}

/// A body, and how far it was read.
struct Tokens<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.body.get(self.at..)?;
        let start = self.at + rest.iter().position(|byte| !b" \t\n\r:".contains(byte))?;
        self.at = start + 1;
        Some(match self.body[start] {
            bracket @ (b'{' | b'[') => Token::Open(bracket),
            b'}' | b']' => Token::Close,
            b',' => Token::Comma,
            b'"' => Token::Text(self.text()),
            _ => {
                let rest = &self.body[start..];
                let end = rest.iter().position(|byte| b" \t\n\r:,{}[]\"".contains(byte));
                self.at = start + end.unwrap_or(rest.len());
                Token::Other(&self.body[start..self.at])
            }
        })
    }

    /// The next bracket outside strings.
    fn next_bracket(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = self.body.get(self.at..)?;
            self.at += 1 + rest.iter().position(|byte| b"{[]}\"".contains(byte))?;
            match self.body[self.at - 1] {
                b'"' => drop(self.text()),
                bracket @ (b'{' | b'[') => return Some(Token::Open(bracket)),
                _ => return Some(Token::Close),
            }
        }
    }

    /// The rest of a string whose opening quote was read; all that is left if it is not closed.
    fn text(&mut self) -> &'a [u8] {
        let start = self.at;
        while let Some(found) = memchr2(b'"', b'\\', &self.body[self.at..]) {
            let end = self.at + found;
            if self.body[end] == b'"' {
                self.at = end + 1;
                return &self.body[start..end];
            }
            // What is escaped, a quote perhaps, ends nothing.
            self.at = (end + 2).min(self.body.len());
        }
        self.at = self.body.len();
        &self.body[start..]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ids(body: &str) -> Vec<Cow<'_, str>> {
        find_task_ids(body.as_bytes())
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
            ids(r#"{"taskId":1,"task_id":2,"data":{"taskId":3,"task_id":4},"taskId":5}"#).len(),
            4
        );
    }

    #[test]
    fn no_id_where_none_is_documented() {
        for body in [
            "",
            "null",
            "[]",
            "7",
            r#""taskId""#,
            "{}",
            r#"[{"taskId":"a"}]"#,
            r#"{"data":[{"taskId":"a"}]}"#,
            r#"{"x":{"taskId":"a"}}"#,
            r#"{"taskId":{"taskId":"a"}}"#,
            r#"{"data":{"data":{"taskId":"a"}}}"#,
            r#"{"taskId":-1}"#,
            r#"{"taskId":1.5}"#,
            r#"{"taskId":true}"#,
            r#"{"x":"taskId","y":"a"}"#,
            r#"{} {"taskId":"a"}"#,
            "taskId=a",
            "\u{1f}\u{8b}\u{8}",
        ] {
            assert_eq!(ids(body), [""; 0], "{body}");
        }
    }
}
