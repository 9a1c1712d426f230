//! For any two headers, we accept only a signature that the key made, with a timestamp inside the window.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use suno_midi::provider::signature::{Claim, SigningKey};

const NOW: u64 = 1_795_478_400;
const TOLERANCE: u64 = 300;

fuzz_target!(|headers: (&str, &str, u16)| {
    let (timestamp, signature, offset) = headers;
    let key = SigningKey::new("key").expect("a key");
    let read = |timestamp: &str, signature: &str| {
        Claim::read(Some(timestamp), Some(signature), Duration::from_secs(NOW), Duration::from_secs(TOLERANCE))
    };
    if let Ok(claim) = read(timestamp, signature) {
        assert!(claim.seconds().abs_diff(NOW) <= TOLERANCE);
        // Only the exact signature of this key is accepted.
        assert_eq!(claim.is_signed_by(std::slice::from_ref(&key), "t"), signature == key.sign("t", timestamp));
    }
    let seconds = NOW - 500 + u64::from(offset) % 1000;
    let timestamp = seconds.to_string();
    match read(&timestamp, &key.sign("t", &timestamp)) {
        Ok(claim) => {
            assert!(claim.is_signed_by(std::slice::from_ref(&key), "t"));
            assert!(!claim.is_signed_by(&[key], "u"));
        }
        Err(_) => assert!(seconds.abs_diff(NOW) > TOLERANCE),
    }
});
