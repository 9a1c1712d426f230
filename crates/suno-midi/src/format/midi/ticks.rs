//! Seconds → ticks.

use super::overlaps::Span;
use crate::{music::tempo::Tempo, score::Note};

/// Ticks per quarter note. At 120 BPM a tick is 1/960 s, so each step of the provider's grid (1/192 s) is exactly five
/// ticks. At any tempo a time is off by half a tick at most: 0.5 ms at 120 BPM, 1.0 ms at 60.
pub const TICKS_PER_QUARTER: u16 = 480;

/// Converts the times of a song from seconds to ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ticks {
    tempo: Tempo,
}

impl Ticks {
    /// The ticks of a song at this tempo.
    pub fn new(tempo: &Tempo) -> Self {
        Self { tempo: *tempo }
    }

    /// The tick nearest to a time in seconds. We round each time itself, never a difference of times, so that errors do
    /// not add up: each error is half a tick at most.
    pub fn at(&self, seconds: f64) -> u32 {
        match self.tempo.lead_in() {
            Some(lead_in) if seconds < lead_in.seconds() => nearest(seconds, lead_in.beat),
            Some(lead_in) => self.bars_begin() + nearest(seconds - lead_in.seconds(), self.tempo.beat()),
            None => nearest(seconds, self.tempo.beat()),
        }
    }

    /// The tick of the first downbeat.
    pub fn bars_begin(&self) -> u32 {
        let beats = self.tempo.lead_in().map_or(0, |lead_in| lead_in.beats);
        u32::from(beats) * u32::from(TICKS_PER_QUARTER)
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

/// The length of a beat as a tempo event holds it: microseconds per quarter note.
pub fn micros_per_quarter(beat: f64) -> u32 {
    (beat * 1e6).round() as u32
}

fn nearest(seconds: f64, beat: f64) -> u32 {
    (seconds * 1e6 * f64::from(TICKS_PER_QUARTER) / f64::from(micros_per_quarter(beat))).round() as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{music::tempo::TempoChoice, score::Score};

    #[test]
    fn the_providers_grid_is_exact_at_the_default_tempo() {
        let ticks = Ticks::new(&Tempo::DEFAULT);
        for step in 0..200_000u32 {
            assert_eq!(ticks.at(f64::from(step) / 192.0), step * 5);
        }
    }

    #[test]
    fn no_time_moves_by_more_than_half_a_tick() {
        let score = Score::of(&[("Kick", &[(36.0, 1.3, 1.4)])]);
        let tempo = Tempo::choose(&score, TempoChoice::Bpm(98.0));
        let (ticks, lead_in) = (Ticks::new(&tempo), tempo.lead_in().unwrap());
        let begin = ticks.bars_begin();
        assert!(begin >= 480 && begin == ticks.at(lead_in.seconds()));
        let seconds_of = |tick: u32| match tick.checked_sub(begin) {
            Some(after) => lead_in.seconds() + f64::from(after) * tempo.beat() / 480.0,
            None => f64::from(tick) * lead_in.beat / 480.0,
        };
        for step in 0..100_000 {
            let seconds = f64::from(step) * 0.001_7;
            let beat = if seconds < lead_in.seconds() {
                lead_in.beat
            } else {
                tempo.beat()
            };
            assert!(
                (seconds_of(ticks.at(seconds)) - seconds).abs() <= beat / 960.0 + 1e-9,
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_note_has_at_least_one_tick() {
        let ticks = Ticks::new(&Tempo::DEFAULT);
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
