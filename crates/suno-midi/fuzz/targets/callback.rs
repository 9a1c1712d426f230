//! For any bytes, the reader returns, a score stays within its limits, and the reader rejects no JSON as broken. It finds the
//! task ids that the scan finds, unless it looks under a cover. A song without notes has `instruments` or is done.
#![no_main]

use libfuzzer_sys::fuzz_target;
use suno_midi::{
    provider::{
        callback::{self, Callback, NotACallback},
        task_ids::find_task_ids,
    },
    score::{MAX_INSTRUMENTS, Score},
};

fuzz_target!(|body: &[u8]| {
    let (ids, read) = callback::read_with_task_ids(body);
    let value = serde_json::from_slice::<serde_json::Value>(body);
    if value.as_ref().is_ok_and(|value| value.is_object() && value.get("body").is_none()) {
        assert_eq!(ids, find_task_ids(body));
    }
    match read {
        Ok(Callback::Song(parts)) => {
            if parts.is_empty() && value.is_ok() {
                let text = callback::text(body).to_ascii_lowercase();
                // Names and states may be written with escapes.
                let says_so = ["instruments", "complete", "successflag", "\\u"].iter().any(|word| text.contains(word));
                assert!(says_so, "{text}");
            }
            let count = parts.len();
            match Score::new(parts) {
                Ok(score) => assert!(score.instruments.len() == count && count <= MAX_INSTRUMENTS),
                Err(_) => assert!(count > MAX_INSTRUMENTS),
            }
        }
        Ok(_) => {}
        Err(other) => {
            let is_whole = value.is_ok_and(|value| value.get("body").is_none() && !value.is_array());
            assert!(!(is_whole && matches!(other, NotACallback::NotJson(_))), "{other}");
        }
    }
});
