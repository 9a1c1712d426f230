//! Any bytes: the reader answers, within the bounds it promises, and calls nothing broken that is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use suno_midi::{
    format::midi::channels::MAX_INSTRUMENTS,
    provider::callback::{self, Callback, Unreadable},
};

fuzz_target!(|body: &[u8]| match callback::read(body) {
    Ok(Callback::Song(parts)) => assert!(parts.len() <= MAX_INSTRUMENTS),
    Ok(_) => {}
    Err(unreadable) => {
        let is_json = serde_json::from_slice::<serde_json::Value>(body).is_ok();
        assert!(!(is_json && matches!(unreadable, Unreadable::NotJson { .. })), "{unreadable}");
    }
});
