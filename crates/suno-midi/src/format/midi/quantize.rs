//! Moves note ons towards the nearest grid line.
//!
//! Grid lines divide each bar of the song into equal parts of a whole note, from its bar line on. They are lines of the
//! song's own grid: where its tempo drifts, they drift with it.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{
    overlaps::Span,
    ticks::{TICKS_PER_QUARTER, Ticks},
};
use crate::music::grid::Grid;

/// Which grid lines the notes of the quantized file move to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantize {
    /// There is no quantized file.
    #[default]
    Off,
    /// Eighths, `1/8`.
    Eighths,
    /// Eighth triplets, `1/12`.
    EighthTriplets,
    /// Sixteenths, `1/16`.
    Sixteenths,
    /// Sixteenth triplets, `1/24`.
    SixteenthTriplets,
}

impl Quantize {
    /// Every choice.
    pub const ALL: [Self; 5] = [
        Self::Off,
        Self::Eighths,
        Self::EighthTriplets,
        Self::Sixteenths,
        Self::SixteenthTriplets,
    ];

    /// How many lines a whole note has; `None` for [`Quantize::Off`].
    pub fn lines_per_whole_note(self) -> Option<u32> {
        match self {
            Self::Off => None,
            Self::Eighths => Some(8),
            Self::EighthTriplets => Some(12),
            Self::Sixteenths => Some(16),
            Self::SixteenthTriplets => Some(24),
        }
    }
}

impl fmt::Display for Quantize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines_per_whole_note() {
            None => f.write_str("off"),
            Some(lines) => write!(f, "1/{lines}"),
        }
    }
}

/// A text that is not a [`Quantize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("notes are quantized to 1/8, 1/12 (eighth triplets), 1/16 or 1/24 (sixteenth triplets), or off")]
pub struct BadQuantize;

impl FromStr for Quantize {
    type Err = BadQuantize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.to_string() == text)
            .ok_or(BadQuantize)
    }
}

/// How far a note moves towards its grid line: 0 (it stays) to 1 (onto the line).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strength(f64);

impl Strength {
    /// The share of the way to the line, 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Default for Strength {
    fn default() -> Self {
        Self(1.0)
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a [`Strength`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the strength of quantizing is a number from 0 to 1")]
pub struct BadStrength;

impl FromStr for Strength {
    type Err = BadStrength;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share: f64 = text.parse().map_err(|_| BadStrength)?;
        (0.0..=1.0).contains(&share).then_some(Self(share)).ok_or(BadStrength)
    }
}

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
    use crate::music::grid::Meter;

    fn span(on: u32, off: u32) -> Span {
        Span {
            on,
            off,
            pitch: 60,
            velocity: 1,
        }
    }

    #[test]
    fn a_choice_is_off_or_a_part_of_a_whole_note() {
        for choice in Quantize::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("1/16".parse(), Ok(Quantize::Sixteenths));
        for bad in ["", "16", "1/4", "1/17", "1/016", "on"] {
            assert_eq!(bad.parse::<Quantize>(), Err(BadQuantize), "{bad}");
        }
    }

    #[test]
    fn a_strength_is_from_0_to_1() {
        for good in ["0", "0.25", "1"] {
            assert_eq!(good.parse::<Strength>().unwrap().to_string(), good);
        }
        assert_eq!(Strength::default().get(), 1.0);
        for bad in ["", "-0.1", "1.01", "NaN", "inf", "50%"] {
            assert_eq!(bad.parse::<Strength>(), Err(BadStrength), "{bad}");
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
