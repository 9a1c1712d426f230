//! The beats and bars of a song's files: where they are in seconds.
//!
//! Two lists, as a MIDI file and a score have them: where the tempo changes, and where the metre changes. Positions are whole
//! eighth notes from the beginning of the audio, and the length of a quarter is a whole number of microseconds, as a MIDI
//! file holds it. We round here, before anything is drawn or written, so that all formats have the same bars.

use crate::options::Meter;

/// A tempo change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TempoChange {
    /// Where, in eighths from the beginning.
    pub at: u32,
    /// The length of a quarter from here on, in microseconds.
    pub quarter: u32,
    /// Position in half microseconds, so that it is an integer.
    half_micros: u64,
}

impl TempoChange {
    /// Where, in seconds.
    pub fn seconds(self) -> f64 {
        self.half_micros as f64 / 2e6
    }

    /// The length of a quarter from here on, in seconds.
    pub fn quarter_seconds(self) -> f64 {
        f64::from(self.quarter) / 1e6
    }
}

/// A change of the metre. A bar begins here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeterChange {
    /// Where, in eighths from the beginning.
    pub at: u32,
    /// The metre from here on.
    pub meter: Meter,
}

/// The beats and bars of a song, from the beginning of the audio on without end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    tempi: Vec<TempoChange>,
    meters: Vec<MeterChange>,
}

/// A beat of a grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridBeat {
    /// When it is, in seconds.
    pub seconds: f64,
    /// The number of the bar that begins here, counted from 1 as a DAW counts; `None` inside of a bar.
    pub bar: Option<u32>,
}

impl Grid {
    /// One tempo and one metre from the beginning of the audio.
    pub fn steady(quarter: u32, meter: Meter) -> Self {
        Self {
            tempi: vec![TempoChange {
                at: 0,
                quarter,
                half_micros: 0,
            }],
            meters: vec![MeterChange { at: 0, meter }],
        }
    }

    /// Sets the tempo from this eighth on. Calls come in order.
    pub fn change_tempo(&mut self, at: u32, quarter: u32) {
        let last = self.tempi[self.tempi.len() - 1];
        if last.at == at {
            self.tempi.pop();
        }
        if self.tempi.last().is_none_or(|before| before.quarter != quarter) {
            let half_micros = last.half_micros + u64::from(at - last.at) * u64::from(last.quarter);
            self.tempi.push(TempoChange {
                at,
                quarter,
                half_micros,
            });
        }
    }

    /// Sets the metre from this eighth on. Calls come in order.
    pub fn change_meter(&mut self, at: u32, meter: Meter) {
        if self.meters.last().is_some_and(|last| last.at == at) {
            self.meters.pop();
        }
        if self.meters.last().is_none_or(|before| before.meter != meter) {
            self.meters.push(MeterChange { at, meter });
        }
    }

    /// Where the tempo changes; the first is at the beginning.
    pub fn tempi(&self) -> &[TempoChange] {
        &self.tempi
    }

    /// Where the metre changes; the first is at the beginning.
    pub fn meters(&self) -> &[MeterChange] {
        &self.meters
    }

    /// When an eighth is, in seconds.
    pub fn seconds_at(&self, eighth: u32) -> f64 {
        let index = self.tempi.partition_point(|change| change.at <= eighth).max(1) - 1;
        let change = self.tempi[index];
        (change.half_micros + u64::from(eighth - change.at) * u64::from(change.quarter)) as f64 / 2e6
    }

    /// The tempo that holds at a time.
    pub fn tempo_at(&self, seconds: f64) -> TempoChange {
        let index = self.tempi.partition_point(|change| change.seconds() <= seconds);
        self.tempi[index.max(1) - 1]
    }

    /// The beats from the beginning to this time.
    pub fn beats_until(&self, seconds: f64) -> impl Iterator<Item = GridBeat> + '_ {
        let (mut at, mut index, mut beat, mut bar) = (0, 0, 0, 0);
        let mut tempo = 0;
        std::iter::from_fn(move || {
            if self.meters.get(index + 1).is_some_and(|next| next.at <= at) {
                (index, beat) = (index + 1, 0);
            }
            let meter = self.meters[index].meter;
            while self.tempi.get(tempo + 1).is_some_and(|next| next.at <= at) {
                tempo += 1;
            }
            let change = self.tempi[tempo];
            let time = (change.half_micros + u64::from(at - change.at) * u64::from(change.quarter)) as f64 / 2e6;
            let begins = beat == 0;
            bar += u32::from(begins);
            beat = (beat + 1) % meter.beats.max(1);
            at += meter.eighths();
            (time <= seconds).then_some(GridBeat {
                seconds: time,
                bar: begins.then_some(bar),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_follow_the_tempo_and_the_metre() {
        let mut grid = Grid::steady(500_000, Meter::simple(1));
        grid.change_tempo(2, 250_000);
        grid.change_meter(2, Meter::simple(2));
        grid.change_meter(
            6,
            Meter {
                beats: 2,
                compound: true,
            },
        );
        let beats: Vec<_> = grid.beats_until(1.8).map(|beat| (beat.seconds, beat.bar)).collect();
        assert_eq!(
            beats,
            [
                (0.0, Some(1)),
                (0.5, Some(2)),
                (0.75, None),
                (1.0, Some(3)),
                (1.375, None),
                (1.75, Some(4))
            ]
        );
        assert_eq!((grid.seconds_at(1), grid.seconds_at(3)), (0.25, 0.625));
        assert_eq!(
            (grid.tempo_at(0.49).quarter, grid.tempo_at(0.5).quarter),
            (500_000, 250_000)
        );
    }

    #[test]
    fn a_change_to_the_same_is_none() {
        let mut grid = Grid::steady(500_000, Meter::COMMON);
        grid.change_tempo(8, 500_000);
        grid.change_meter(8, Meter::COMMON);
        assert_eq!((grid.tempi().len(), grid.meters().len()), (1, 1));
        grid.change_tempo(0, 400_000);
        grid.change_meter(0, Meter::simple(3));
        assert_eq!(grid, Grid::steady(400_000, Meter::simple(3)));
    }
}
