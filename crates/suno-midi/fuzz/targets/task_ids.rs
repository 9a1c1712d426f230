//! Any bytes: the scan over tokens finds the ids that a reading by serde_json finds.
#![no_main]

use std::{collections::BTreeSet, fmt};

use libfuzzer_sys::fuzz_target;
use suno_midi::provider::task_ids::find_task_ids;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, value::RawValue};

/// The members of an object in their order, those of the same name too.
struct Members(Vec<(String, Box<RawValue>)>);

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

/// As often a body may name its task.
const MAX_IDS: usize = 8;

/// How often a body names its task, and its ids, by the book; `None` of one that is no JSON object, or has
/// numbers for ids that are not whole.
fn ids(body: &[u8]) -> Option<(usize, BTreeSet<String>)> {
    let Members(top) = serde_json::from_slice(body).ok()?;
    let (mut named, mut ids, mut whole) = (0, BTreeSet::new(), true);
    let mut look = |name: &str, value: &RawValue| {
        if !matches!(name, "taskId" | "task_id") {
            return;
        }
        match serde_json::from_str(value.get()) {
            Ok(Value::String(text)) => {
                named += 1;
                ids.extend(Some(text).filter(|text| !text.is_empty()));
            }
            // One too large for serde_json keeps its digits in the scan, and loses them here.
            Ok(Value::Number(number)) => {
                whole &= number.is_u64() || number.is_i64();
                named += usize::from(number.is_u64());
                ids.extend(number.is_u64().then(|| number.to_string()));
            }
            Ok(_) => {}
            // Half a surrogate pair, or deeper than serde_json reads.
            Err(_) => whole = false,
        }
    };
    for (name, value) in &top {
        look(name, value);
        if name == "data" && value.get().starts_with('{') {
            let Members(data) = serde_json::from_str(value.get()).ok()?;
            data.iter().for_each(|(name, value)| look(name, value));
        }
    }
    whole.then_some((named, ids))
}

fuzz_target!(|body: &[u8]| {
    let found = find_task_ids(body);
    let set: BTreeSet<String> = found.iter().map(|id| id.clone().into_owned()).collect();
    assert!(set.len() == found.len() && found.len() <= MAX_IDS && !set.contains(""));
    if let Some((named, expected)) = ids(body)
        && expected.iter().all(|id| id.len() < 128)
    {
        let expected = if named > MAX_IDS { BTreeSet::new() } else { expected };
        assert_eq!(set, expected);
    }
});
