//! Moments, periods and lengths of time on the command line.

use std::{
    ops::Range,
    str::FromStr,
    time::{Duration, SystemTime},
};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use crate::Refused;

/// The end of a period that has no end: it is later than this machine's clock, which may be slow.
const TOMORROW: Duration = Duration::from_secs(86_400);

/// From when until when.
#[derive(clap::Args)]
pub struct Period {
    /// Only from then on: 2026-11-01, 2026-11-01T12:00:00Z (UTC), or 30m, 12h, 7d ago
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// With --since: only before then
    #[arg(long, value_name = "WHEN", requires = "since")]
    until: Option<When>,
}

impl Period {
    /// The moments of the period.
    pub fn range(&self) -> Result<Range<SystemTime>, Refused> {
        let since = self.since.map_or(SystemTime::UNIX_EPOCH, |When(since)| since);
        let until = self.until.map(|When(until)| until);
        let range = since..until.unwrap_or_else(|| SystemTime::now() + TOMORROW);
        match range.is_empty() {
            true => Err(Refused(
                "--since is not before --until: nothing can be in that period".to_owned(),
            )),
            false => Ok(range),
        }
    }
}

/// A moment in the past.
#[derive(Clone, Copy)]
struct When(SystemTime);

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ago = || SystemTime::now().checked_sub(text.parse::<TimeSpan>().ok()?.0);
        let date = || {
            let midnight = format!("{text}T00:00:00Z");
            let time = if text.contains('T') { text } else { &midnight };
            SystemTime::try_from(DateTime::from_str(time, DateTimeFormat::DateTime).ok()?).ok()
        };
        let when = ago().or_else(date);
        when.map(Self)
            .ok_or_else(|| "write 2026-11-01, 2026-11-01T12:00:00Z, 30m, 12h or 7d".to_owned())
    }
}

/// A length of time.
#[derive(Clone, Copy)]
pub struct TimeSpan(pub Duration);

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = || {
            let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let unit = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86_400,
                _ => return None,
            };
            number.parse::<u64>().ok()?.checked_mul(unit)
        };
        let span = seconds().map(Duration::from_secs).map(Self);
        span.ok_or_else(|| "write 90s, 30m, 12h or 7d".to_owned())
    }
}

/// A moment as people and programs read it: `2026-11-25T14:03:12Z`.
pub fn utc(moment: SystemTime) -> String {
    let seconds = midihook::time::since_epoch(moment).as_secs();
    let moment = DateTime::from_secs(i64::try_from(seconds).unwrap_or_default());
    moment.fmt(DateTimeFormat::DateTime).unwrap_or_default()
}

/// The moment of a number of Unix seconds.
pub fn unix(seconds: u64) -> SystemTime {
    let after = Duration::from_secs(seconds);
    SystemTime::UNIX_EPOCH
        .checked_add(after)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
