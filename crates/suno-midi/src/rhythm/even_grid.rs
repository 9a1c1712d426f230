//! Onsets → an even grid: one length for all beats of a song.
//!
//! The grid has small units, sixteenths or triplets. Which of its lines are beats is decided later.

use super::{
    onsets::Onset,
    spectrum::{Complex, Spectrum},
};

/// The tempi whose sixteenths are tried, in BPM, and the middle of the bell that prefers the usual ones.
const SLOWEST: f64 = 60.0;
const FASTEST: f64 = 200.0;
const USUAL: f64 = 100.0;
/// The width of that bell, in octaves (standard deviation).
const BELL: f64 = 0.9;

/// The weights of the fits of eighths and quarters, beside that of sixteenths: notes prefer the larger divisions.
const EIGHTHS: f64 = 0.3;
const QUARTERS: f64 = 0.8;

/// Triplets must fit this much better than sixteenths.
const TRIPLETS: f64 = 1.1;

/// A second grid is worth a try if it fits nearly as well as the first: swung notes can fit sevenths of a beat.
const RIVAL: f64 = 0.7;
/// Grids with these ratios have beats in common.
const RELATED: [f64; 9] = [1.0, 2.0, 0.5, 0.75, 4.0 / 3.0, 1.5, 2.0 / 3.0, 3.0, 1.0 / 3.0];

/// The least mean vector of the onsets of a song with one tempo. Played songs have 0.6 and more.
const FITS: f64 = 0.4;
/// Above this coherence a song has one tempo. Songs from sequencers have 0.98 and more, songs with a cut or a pause less
/// than 0.8.
const STEADY: f64 = 0.8;
/// The share of a song with one tempo that fits its grid.
const COVERED: f64 = 0.85;
/// The parts in which a song is compared with its grid, in seconds.
const PART: f64 = 8.0;

/// An even grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvenGrid {
    /// The distance of two lines, in seconds.
    pub unit: f64,
    /// The time of one line, in seconds.
    pub phase: f64,
}

impl EvenGrid {
    /// The grid that fits the onsets best, and an unrelated one if it fits nearly as well.
    pub fn best(onsets: &[Onset], spectrum: &Spectrum) -> (Self, Option<Self>) {
        let length = |rate: f64| spectrum.at(rate).length();
        let fit = |rate: f64| {
            let octaves = (rate * 15.0 / USUAL).log2() / BELL;
            let sixteenths = length(rate).max(0.95 * length(rate * 0.75));
            let sum = sixteenths + EIGHTHS * length(rate / 2.0) + QUARTERS * length(rate / 4.0);
            sum * (-0.5 * octaves * octaves).exp()
        };
        let from = (SLOWEST / 15.0 / spectrum.step()) as usize;
        let to = (FASTEST / 15.0 / spectrum.step()) as usize;
        let fits: Vec<(f64, f64)> = (from..to)
            .map(|index| index as f64 * spectrum.step())
            .map(|rate| (rate, fit(rate)))
            .collect();
        let highest = |some: &dyn Fn(f64) -> bool| {
            let some = fits.iter().filter(|(rate, _)| some(*rate));
            some.max_by(|a, b| a.1.total_cmp(&b.1)).copied()
        };
        let grid = |rate: f64| {
            let triplets = length(rate * 0.75) > TRIPLETS * length(rate);
            let rate = if triplets { rate * 0.75 } else { rate };
            Self {
                unit: 1.0 / rate,
                phase: spectrum.phase(rate),
            }
            .refined(onsets, 0.25)
        };
        let (best, best_fit) = highest(&|_| true).unwrap_or((USUAL / 15.0, 0.0));
        let unrelated = |rate: f64| RELATED.iter().all(|ratio| (rate / best / ratio - 1.0).abs() >= 0.02);
        let rival = highest(&unrelated).filter(|(_, fit)| *fit > RIVAL * best_fit);
        (grid(best), rival.map(|(rate, _)| grid(rate)))
    }

    /// The weighted least squares between the onsets and their nearest lines. Notes further from a line than this share of
    /// the unit, such as swung notes and grace notes, do not count.
    pub fn refined(mut self, onsets: &[Onset], within: f64) -> Self {
        for _ in 0..5 {
            let (mut w, mut n, mut t, mut nn, mut nt) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for onset in onsets {
                let index = ((onset.seconds - self.phase) / self.unit).round();
                let distance = (onset.seconds - self.phase - index * self.unit).abs() / self.unit;
                if distance < within {
                    let weight = onset.weight;
                    w += weight;
                    n += weight * index;
                    t += weight * onset.seconds;
                    nn += weight * index * index;
                    nt += weight * index * onset.seconds;
                }
            }
            let spread = w * nn - n * n;
            if spread <= 0.0 {
                break;
            }
            let unit = (w * nt - n * t) / spread;
            if (unit / self.unit - 1.0).abs() > 0.02 {
                break;
            }
            self = Self {
                unit,
                phase: (t - unit * n) / w,
            };
        }
        self
    }

    /// Whether the grid holds through the song: it keeps its phase, and few parts of the song do not fit it.
    pub fn holds(self, onsets: &[Onset]) -> bool {
        let (mut all, mut fits, mut noises, mut total) = (Complex::default(), 0.0, 0.0, 0.0);
        let mut parts = Vec::new();
        for part in onsets.chunk_by(|a, b| (a.seconds / PART).floor() == (b.seconds / PART).floor()) {
            let (mut sum, mut noise, mut weight) = (Complex::default(), 0.0, 0.0);
            for onset in part {
                sum = sum.plus(Complex::turn(onset.seconds / self.unit).times(onset.weight));
                noise += onset.weight * onset.weight;
                weight += onset.weight;
            }
            all = all.plus(sum);
            // A few onsets look like a grid by chance.
            fits += (sum.length().powi(2) - noise).max(0.0).sqrt();
            noises += noise;
            total += weight;
            parts.push((sum, noise.sqrt(), weight));
        }
        let coherence = (all.length().powi(2) - noises).max(0.0).sqrt() / f64::max(fits, 1e-9);
        let fit = all.length() / total;
        let covered: f64 = parts
            .iter()
            .filter(|(sum, noise, weight)| {
                let along = (sum.re * all.re + sum.im * all.im) / all.length();
                along + noise >= 0.5 * fit * weight
            })
            .map(|part| part.2)
            .sum();
        fit >= FITS && coherence >= STEADY && covered >= COVERED * total
    }
}

/// Even beats of this length that cover the onsets, one of them at this time; all in seconds.
pub fn even_beats(onsets: &[Onset], period: f64, phase: f64) -> Vec<f64> {
    let (first, last) = (onsets[0].seconds, onsets[onsets.len() - 1].seconds);
    // A song may begin a little before its beat.
    let from = ((first - phase) / period + 0.25).floor();
    let count = ((last - phase) / period - from).ceil() as usize + 1;
    (0..=count)
        .map(|index| phase + (from + index as f64) * period)
        .collect()
}

/// The phase of the even grid of this unit, in seconds, that fits the onsets best.
pub fn best_phase(onsets: &[Onset], unit: f64) -> f64 {
    let first = onsets.first().map_or(0.0, |onset| onset.seconds);
    let turn = |onset: &Onset| Complex::turn((onset.seconds - first) / unit).times(onset.weight);
    let sum = onsets.iter().map(turn).fold(Complex::default(), Complex::plus);
    first + sum.turns() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn onsets(times: impl IntoIterator<Item = f64>) -> Vec<Onset> {
        let onset = |seconds| Onset {
            seconds,
            weight: 1.0,
            ..Onset::default()
        };
        times.into_iter().map(onset).collect()
    }

    fn best(onsets: &[Onset]) -> EvenGrid {
        EvenGrid::best(onsets, &Spectrum::new(onsets)).0
    }

    #[test]
    fn the_best_grid_has_the_unit_and_the_phase_of_the_onsets() {
        let list = onsets((0..800).map(|index| 0.3 + f64::from(index) * 0.137));
        let grid = best(&list);
        assert!((grid.unit - 0.137).abs() < 1e-6, "{grid:?}");
        let lines = (grid.phase - 0.3) / 0.137;
        assert!((lines - lines.round()).abs() < 1e-3, "{grid:?}");
        assert!(grid.holds(&list));
    }

    #[test]
    fn a_grid_does_not_hold_if_the_tempo_changes() {
        let list =
            onsets((0..800).map(|index| f64::from(index.min(400)) * 0.137 + f64::from((index - 400).max(0)) * 0.15));
        assert!(!best(&list).holds(&list));
    }

    #[test]
    fn even_beats_cover_the_onsets() {
        let list = onsets([1.0, 2.2, 3.9]);
        assert_eq!(even_beats(&list, 0.5, 0.0), [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]);
        assert!((even_beats(&list, 0.5, 10.1)[0] - 1.1).abs() < 1e-9);
        let lines = best_phase(&list, 0.1) / 0.1;
        assert!((lines - lines.round()).abs() < 1e-9, "{lines}");
    }
}
