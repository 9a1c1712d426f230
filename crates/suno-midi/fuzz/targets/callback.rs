//! For any bytes, the reader returns, a score stays within its limits, and the reader rejects no JSON as broken. It finds the
//! task ids that the scan finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use suno_midi::{
    provider::{
        callback::{self, Callback, Unreadable},
        task_ids::find_task_ids,
    },
    score::{MAX_INSTRUMENTS, Score},
};

fuzz_target!(|body: &[u8]| {
    let (ids, read) = callback::read_with_task_ids(body);
    assert_eq!(ids, find_task_ids(body));
    match read {
        Ok(Callback::Song(parts)) => {
            let count = parts.len();
            match Score::new(parts) {
                Ok(score) => assert!(score.instruments.len() == count && count <= MAX_INSTRUMENTS),
                Err(_) => assert!(count > MAX_INSTRUMENTS),
            }
        }
        Ok(_) => {}
        Err(unreadable) => {
            let is_json = serde_json::from_slice::<serde_json::Value>(body).is_ok();
            assert!(!(is_json && matches!(unreadable, Unreadable::NotJson { .. })), "{unreadable}");
        }
    }
});
