//! For any bytes, the scan finds the same ids as serde_json.
#![no_main]

use std::{collections::BTreeSet, fmt};

use libfuzzer_sys::fuzz_target;
use suno_midi::provider::task_ids::{MAX_IDS, find_task_ids};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, value::RawValue};

/// The members of an object in order, including those with the same name.
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

/// How often a body names its task, and its ids, according to serde_json; `None` if the body is not a JSON object, or
/// if serde_json cannot read an id exactly.
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
            // serde_json loses digits of a large number; the scan keeps them.
            Ok(Value::Number(number)) => {
                whole &= number.is_u64() || number.is_i64();
                named += usize::from(number.is_u64());
                ids.extend(number.is_u64().then(|| number.to_string()));
            }
            Ok(_) => {}
            // A lone surrogate, or nested deeper than serde_json reads.
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
