//! Moves note ons towards the nearest grid line.
//!
//! Grid lines divide each bar of the song into equal parts of a whole note, from its bar line on. They are lines of the
//! song's own grid: where its tempo drifts, they drift with it.

use super::{
    overlaps::Span,
    ticks::{TICKS_PER_QUARTER, Ticks},
};
use crate::{
    music::grid::Grid,
    options::{Quantize, Strength},
};

/// Moves notes towards the lines of a grid. Their lengths in ticks stay.
#[derive(Debug, Clone, Copy)]
pub struct Quantizer<'a> {
    grid: &'a Grid,
    step: u32,
    strength: Strength,
}

impl<'a> Quantizer<'a> {
    /// The quantizer of a song with this grid; `None` if notes are not to be quantized.
    pub fn new(grid: &'a Grid, quantize: Quantize, strength: Strength) -> Option<Self> {
        let lines = quantize.lines_per_whole_note()?;
        Some(Self {
            grid,
            step: 4 * u32::from(TICKS_PER_QUARTER) / lines,
            strength,
        })
    }

    /// The note where it belongs.
    pub fn moved(&self, note: Span) -> Span {
        let way = f64::from(self.line_near(note.on)) - f64::from(note.on);
        let on = (f64::from(note.on) + (way * self.strength.get()).round()) as u32;
        Span {
            on,
            off: on + (note.off - note.on),
            ..note
        }
    }

    /// The tick of the grid line nearest to a tick: of two that are as near, the later one.
    fn line_near(&self, tick: u32) -> u32 {
        let meters = self.grid.meters();
        let next = meters.partition_point(|change| Ticks::of_eighth(change.at) <= tick);
        let section = meters[next.max(1) - 1];
        let begin = Ticks::of_eighth(section.at);
        let end = meters.get(next).map_or(u32::MAX, |change| Ticks::of_eighth(change.at));
        let width = Ticks::of_eighth(u32::from(section.meter.beats.max(1)) * section.meter.eighths());
        let bar = tick - (tick - begin) % width;
        let before = tick - (tick - bar) % self.step;
        // A bar line is a line too, even if the bar does not hold a whole number of steps.
        let after = (before + self.step).min(bar + width).min(end);
        if tick - before < after - tick { before } else { after }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::options::Meter;

    fn span(on: u32, off: u32) -> Span {
        Span {
            on,
            off,
            pitch: 60,
            velocity: 1,
        }
    }

    #[test]
    fn a_note_moves_to_the_nearest_line_and_keeps_its_length() {
        let grid = Grid::steady(500_000, Meter::COMMON);
        for (choice, on, line) in [
            (Quantize::Sixteenths, 59, 0),
            (Quantize::Sixteenths, 60, 120),
            (Quantize::Sixteenths, 121, 120),
            (Quantize::Eighths, 121, 240),
            (Quantize::EighthTriplets, 330, 320),
            (Quantize::SixteenthTriplets, 1905, 1920),
        ] {
            let quantizer = Quantizer::new(&grid, choice, Strength::default()).unwrap();
            assert_eq!(quantizer.moved(span(on, on + 7)), span(line, line + 7), "{choice} {on}");
        }
        assert!(Quantizer::new(&grid, Quantize::Off, Strength::default()).is_none());
    }

    #[test]
    fn the_strength_is_how_far_a_note_moves() {
        let grid = Grid::steady(500_000, Meter::COMMON);
        for (strength, on) in [("0", 100), ("0.25", 105), ("0.5", 110), ("0.9", 118), ("1", 120)] {
            let quantizer = Quantizer::new(&grid, Quantize::Sixteenths, strength.parse().unwrap()).unwrap();
            assert_eq!(quantizer.moved(span(100, 101)), span(on, on + 1), "{strength}");
        }
    }

    #[test]
    fn lines_count_from_each_bar_line() {
        // A lead-in of one dotted quarter (720 ticks), then bars of 9/8 (2160 ticks). Neither is a whole number of eighth
        // triplets (160 ticks).
        let mut grid = Grid::steady(500_000, Meter::compound(1));
        grid.change_meter(3, Meter::compound(3));
        let quantizer = Quantizer::new(&grid, Quantize::EighthTriplets, Strength::default()).unwrap();
        for (on, line) in [
            (650, 640),
            (690, 720),
            (719, 720),
            (790, 720),
            (810, 880),
            (2850, 2880),
            (2950, 2880),
            (2961, 3040),
        ] {
            assert_eq!(quantizer.moved(span(on, on + 1)).on, line, "{on}");
        }
    }
}
