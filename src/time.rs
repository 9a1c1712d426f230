//! Time as a number, and how long ago it was.

use std::time::{Duration, SystemTime};

/// The time since the Unix epoch (UTC); zero if the clock is set to an earlier time.
pub fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A time in whole Unix seconds.
pub fn seconds(time: SystemTime) -> u64 {
    since_epoch(time).as_secs()
}

/// Whether less than `span` has passed since a moment. False if the clock was set back: then it is safer to read again
/// what was read at that moment.
pub fn is_within(span: Duration, moment: Option<SystemTime>, now: SystemTime) -> bool {
    let age = moment.and_then(|moment| now.duration_since(moment).ok());
    age.is_some_and(|age| age < span)
}
