//! Time as a number.

use std::time::{Duration, SystemTime};

/// The time since the Unix epoch (UTC); zero if the clock is set to an earlier time.
pub fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
