//! Seconds → ticks.

use super::overlaps::Span;
use crate::{music::grid::Grid, score::Note};

/// Ticks per quarter note. At 120 BPM a tick is 1/960 s, so each step of the provider's grid (1/192 s) is exactly five
/// ticks. At any tempo a time is off by half a tick at most: 0.5 ms at 120 BPM, 1.0 ms at 60.
pub const TICKS_PER_QUARTER: u16 = 480;

/// Converts the times of a song from seconds to ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ticks<'a> {
    grid: &'a Grid,
}

impl<'a> Ticks<'a> {
    /// The ticks of a song with this grid.
    pub fn new(grid: &'a Grid) -> Self {
        Self { grid }
    }

    /// The tick nearest to a time in seconds. We round each time itself, never a difference of times, so that errors do
    /// not add up: each error is half a tick at most.
    pub fn at(&self, seconds: f64) -> u32 {
        let tempo = self.grid.tempo_at(seconds);
        let after = (seconds - tempo.seconds()) * 1e6 * f64::from(TICKS_PER_QUARTER) / f64::from(tempo.quarter);
        Self::of_eighth(tempo.at) + after.round() as u32
    }

    /// The tick of an eighth of the grid.
    pub fn of_eighth(eighth: u32) -> u32 {
        eighth * u32::from(TICKS_PER_QUARTER) / 2
    }

    /// A note in ticks. It lasts at least one tick.
    pub fn span(&self, note: &Note) -> Span {
        let on = self.at(note.start);
        Span {
            on,
            off: self.at(note.end).max(on + 1),
            pitch: note.pitch,
            velocity: note.velocity,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{music::tempo::Tempo, options::Meter};

    #[test]
    fn the_providers_grid_is_exact_at_the_default_tempo() {
        let tempo = Tempo::default();
        let ticks = Ticks::new(&tempo.grid);
        for step in 0..200_000u32 {
            assert_eq!(ticks.at(f64::from(step) / 192.0), step * 5);
        }
    }

    #[test]
    fn no_time_moves_by_more_than_half_a_tick_whatever_the_tempo_does() {
        let mut grid = Grid::steady(829_999, Meter::COMMON);
        for beat in 1..300 {
            grid.change_tempo(2 * beat, 350_001 + beat * 7_919 % 600_000);
        }
        let ticks = Ticks::new(&grid);
        // A reader's way from ticks to seconds.
        let seconds_of = |tick: u32| {
            let mut seconds = 0.0;
            for (index, change) in grid.tempi().iter().enumerate() {
                let from = Ticks::of_eighth(change.at);
                let to = grid
                    .tempi()
                    .get(index + 1)
                    .map_or(u32::MAX, |next| Ticks::of_eighth(next.at));
                seconds += f64::from(tick.clamp(from, to) - from) * f64::from(change.quarter) / 480e6;
            }
            seconds
        };
        let mut before = 0;
        for step in 0..20_000 {
            let seconds = f64::from(step) * 0.011_7;
            let tick = ticks.at(seconds);
            let half = grid.tempo_at(seconds).quarter_seconds() / 960.0;
            assert!((seconds_of(tick) - seconds).abs() <= half + 1e-9, "{seconds}");
            assert!(tick >= before, "{seconds}");
            before = tick;
        }
    }

    #[test]
    fn a_note_has_at_least_one_tick() {
        let tempo = Tempo::default();
        let ticks = Ticks::new(&tempo.grid);
        let span = |start, end| {
            let span = ticks.span(&Note {
                pitch: 60,
                start,
                end,
                velocity: 1,
            });
            (span.on, span.off)
        };
        assert_eq!(span(1.0, 1.0), (960, 961));
        assert_eq!(span(1.0, 1.000_1), (960, 961));
        assert_eq!(span(1.0, 1.5), (960, 1440));
    }
}
