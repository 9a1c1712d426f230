//! Any bytes: the scan over tokens finds the ids that a reading by serde_json finds.
#![no_main]

use std::{collections::BTreeSet, fmt};

use libfuzzer_sys::fuzz_target;
use midihook::provider::task_ids::find_task_ids;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of an object in their order, those of the same name too.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The ids of a body by the book; `None` of one that is no JSON object, or has numbers for ids that
/// are not whole.
fn ids(body: &[u8]) -> Option<BTreeSet<String>> {
    let Members(top) = serde_json::from_slice(body).ok()?;
    let (mut ids, mut whole) = (BTreeSet::new(), true);
    let mut look = |name: &str, value: &Value| match value {
        Value::String(text) if matches!(name, "taskId" | "task_id") && !text.is_empty() => drop(ids.insert(text.clone())),
        // One too large for serde_json keeps its digits in the scan, and loses them here.
        Value::Number(number) if matches!(name, "taskId" | "task_id") => {
            whole &= number.is_u64() || number.is_i64();
            if number.is_u64() {
                ids.insert(number.to_string());
            }
        }
        _ => {}
    };
    for (name, value) in &top {
        match value {
            // A repeated name within data is lost in a Value: such a body is not compared.
            Value::Object(data) if name == "data" => data.iter().for_each(|(name, value)| look(name, value)),
            _ => look(name, value),
        }
    }
    whole.then_some(ids)
}

fuzz_target!(|body: &[u8]| {
    let found = find_task_ids(body);
    let set: BTreeSet<String> = found.iter().map(|id| id.clone().into_owned()).collect();
    assert!(set.len() == found.len() && found.len() <= 4 && !set.contains(""));
    let repeated = |name: &[u8]| body.windows(name.len()).filter(|window| *window == name).count() > 1;
    if let Some(expected) = ids(body)
        && expected.len() < 4
        && !repeated(b"taskId")
        && !repeated(b"task_id")
        && !body.contains(&b'\\')
    {
        assert_eq!(set, expected);
    }
});
