//! Which task is this? The ids in a body, before anything in it is believed.
//!
//! The body is passed over once, and nothing but the ids is kept, so that a stranger's 5 MB cost no
//! more than a scan.

use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use thiserror::Error;

/// More than this many different ids in one body are not told apart: it is malformed long before.
const MAX_DISTINCT_IDS: usize = 4;

/// The different task ids in a body, in the order in which they stand there.
///
/// Looks where the provider's pages put one: `data.taskId`, `data.task_id`, `taskId` and
/// `task_id`. Null and empty ids count as absent. More than one id means that the body contradicts
/// itself; at most four are returned.
///
/// # Errors
/// If the body is not one JSON value.
///
/// ```
/// use midihook::provider::task_ids::find_task_ids;
///
/// let ids = find_task_ids(br#"{"code": 200, "data": {"taskId": "5c79", "instruments": []}}"#)?;
/// assert_eq!(ids, ["5c79"]);
/// # Ok::<(), midihook::provider::task_ids::NotJson>(())
/// ```
pub fn find_task_ids(body: &[u8]) -> Result<Vec<String>, NotJson> {
    let mut ids = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(without_bom(body));
    IdScan {
        ids: &mut ids,
        place: Place::Top,
    }
    .deserialize(&mut json)
    .map_err(NotJson::from)?;
    json.end().map_err(NotJson::from)?;
    Ok(ids)
}

/// The body is not one JSON value; where the reading stopped, without any of its text.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not JSON (line {line}, column {column})")]
pub struct NotJson {
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for NotJson {
    fn from(error: serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// A body without the byte order mark that some writers begin with.
pub(super) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Data,
    Id,
}

struct IdScan<'a> {
    ids: &'a mut Vec<String>,
    place: Place,
}

impl IdScan<'_> {
    fn found(&mut self, id: &str) {
        let new = !id.is_empty() && !self.ids.iter().any(|known| known == id);
        if self.place == Place::Id && new && self.ids.len() < MAX_DISTINCT_IDS {
            self.ids.push(id.to_owned());
        }
    }
}

impl<'de> DeserializeSeed<'de> for IdScan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IdScan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Name>()? {
            let place = match (self.place, key) {
                (Place::Top | Place::Data, Name::TaskId) => Place::Id,
                (Place::Top, Name::Data) => Place::Data,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(IdScan { ids: self.ids, place })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.found(text);
        Ok(())
    }

    fn visit_u64<E>(mut self, number: u64) -> Result<(), E> {
        self.found(&number.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The names that matter to the scan; any other is passed over without a copy.
enum Name {
    TaskId,
    Data,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "taskId" | "task_id" => Name::TaskId,
                    "data" => Name::Data,
                    _ => Name::Other,
                })
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ids(body: &str) -> Vec<String> {
        find_task_ids(body.as_bytes()).unwrap()
    }

    #[test]
    fn an_id_is_found_in_each_documented_place() {
        for body in [
            r#"{"data":{"taskId":"a"}}"#,
            r#"{"task_id":"a","data":null}"#,
            r#"{"data":{"task_id":"a"}}"#,
            r#"{"taskId":"a"}"#,
            r#"{"taskId":"a","task_id":"a","data":{"taskId":"a","task_id":"a","instruments":[{"taskId":"b"}]}}"#,
            "\u{feff}{\"taskId\":\"a\"}",
            r#"{"taskId":"","data":{"taskId":null,"task_id":"a"}}"#,
            r#"{"task\u0049d":"a"}"#,
        ] {
            assert_eq!(ids(body), ["a"], "{body}");
        }
        assert_eq!(ids(r#"{"taskId":12}"#), ["12"]);
    }

    #[test]
    fn ids_that_differ_are_all_reported() {
        assert_eq!(ids(r#"{"taskId":"a","data":{"taskId":"b"}}"#), ["a", "b"]);
        assert_eq!(ids(r#"{"taskId":"a","taskId":"b"}"#), ["a", "b"]);
        assert_eq!(
            ids(r#"{"taskId":1,"task_id":2,"data":{"taskId":3,"task_id":4},"taskId":5}"#).len(),
            4
        );
    }

    #[test]
    fn no_id_where_none_is_documented() {
        for body in [
            "null",
            "[]",
            "7",
            r#""taskId""#,
            "{}",
            r#"[{"taskId":"a"}]"#,
            r#"{"data":[{"taskId":"a"}]}"#,
            r#"{"x":{"taskId":"a"}}"#,
            r#"{"taskId":{"taskId":"a"}}"#,
        ] {
            assert_eq!(ids(body), [""; 0], "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_without_a_quote_from_it() {
        for body in [
            &b""[..],
            b"{",
            b"{\"secret\":}",
            b"{} {}",
            b"\x1f\x8b\x08",
            b"taskId=a",
            b"{\"taskId\":\"\xff\"}",
        ] {
            let error = find_task_ids(body).unwrap_err().to_string();
            assert!(error.starts_with("not JSON (line 1, column "), "{error}");
        }
    }
}
