//! How periodic the onsets are, at every rate.
//!
//! Two views of one Fourier transform of the onsets: its values ([`Spectrum::at`]) say how well the onsets fit an even grid
//! of a rate over the whole song; its power, transformed back, is the autocorrelation ([`Spectrum::autocorrelation`]), which
//! says how often an onset follows another after a time, also where the tempo breathes.
//!
//! Time grows as n·log n with the length of the song. The transform is our own: the common libraries choose instructions by
//! the machine, and then the last bits of a result, and with them a file, could differ between machines.

use std::f64::consts::TAU;

use super::onsets::Onset;

/// Samples per second: enough for the sixteenths of 200 BPM, 13 Hz.
pub const SAMPLES: f64 = 64.0;

/// The transform has this many times the samples of the song, so that a peak is several values wide.
const PADDING: usize = 4;

/// A complex number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Complex {
    /// Its real part.
    pub re: f64,
    /// Its imaginary part.
    pub im: f64,
}

impl Complex {
    /// The unit vector at an angle, in turns.
    pub fn turn(turns: f64) -> Self {
        let (im, re) = (TAU * turns.fract()).sin_cos();
        Self { re, im }
    }

    /// Its angle, in turns.
    pub fn turns(self) -> f64 {
        self.im.atan2(self.re) / TAU
    }

    /// Its length.
    pub fn length(self) -> f64 {
        self.re.hypot(self.im)
    }

    /// Itself, longer.
    pub fn times(self, factor: f64) -> Self {
        Self {
            re: self.re * factor,
            im: self.im * factor,
        }
    }

    /// The sum of both.
    pub fn plus(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            re: self.re - other.re,
            im: self.im - other.im,
        }
    }

    fn turned(self, by: Self) -> Self {
        Self {
            re: self.re * by.re - self.im * by.im,
            im: self.re * by.im + self.im * by.re,
        }
    }
}

/// The Fourier transform of the onsets of a song.
pub struct Spectrum {
    values: Vec<Complex>,
    /// See [`turns`].
    turns: Vec<Vec<Complex>>,
    /// The time at which all vectors have the angle 0: the first onset.
    origin: f64,
    /// The sum of all weights.
    total: f64,
}

impl Spectrum {
    /// Of onsets in order, by their weights.
    pub fn new(onsets: &[Onset]) -> Self {
        let origin = onsets.first().map_or(0.0, |onset| onset.seconds);
        let span = onsets.last().map_or(0.0, |onset| onset.seconds) - origin;
        let samples = (span * SAMPLES) as usize + 3;
        let mut values = vec![Complex::default(); (samples * PADDING).next_power_of_two()];
        let mut total = 0.0;
        for onset in onsets {
            total += onset.weight;
            // Shared between the two nearest samples.
            let at = ((onset.seconds - origin) * SAMPLES).max(0.0);
            let index = at as usize;
            let after = at - at.floor();
            values[index].re += onset.weight * (1.0 - after);
            values[index + 1].re += onset.weight * after;
        }
        let turns = turns(values.len());
        transform(&mut values, &turns);
        Self {
            values,
            turns,
            origin,
            total,
        }
    }

    /// The distance between two rates, in Hz.
    pub fn step(&self) -> f64 {
        SAMPLES / self.values.len() as f64
    }

    /// The mean vector of the onsets at a rate in Hz. Its length is 1 if all onsets are on the grid of this rate, near 0 if
    /// they are anywhere.
    pub fn at(&self, rate: f64) -> Complex {
        let index = (rate / self.step()).round() as usize;
        let value = self.values.get(index).copied().unwrap_or_default();
        // The sharing between samples damps high rates.
        let x = std::f64::consts::PI * rate / SAMPLES;
        let damping = if x < 1e-6 { 1.0 } else { (x.sin() / x).powi(2) };
        // The transform turns clockwise.
        Complex {
            re: value.re,
            im: -value.im,
        }
        .times(1.0 / (self.total * damping))
    }

    /// A time on the grid of this rate.
    pub fn phase(&self, rate: f64) -> f64 {
        self.origin + self.at(rate).turns() / rate
    }

    /// The autocorrelation for each distance in samples up to `most`, smoothed by some 25 ms. It grows with the weights.
    pub fn autocorrelation(mut self, most: usize) -> Vec<f64> {
        let (count, step) = (self.values.len(), self.step());
        for (index, value) in self.values.iter_mut().enumerate() {
            // Smoothing each onset by a bell of 18 ms is a product here.
            let rate = index.min(count - index) as f64 * step;
            let bell = (-0.5 * (TAU * rate * 0.018).powi(2)).exp();
            *value = Complex {
                re: (value.re * value.re + value.im * value.im) * bell * bell,
                im: 0.0,
            };
        }
        transform(&mut self.values, &self.turns);
        self.values
            .iter()
            .take(most + 1)
            .map(|value| value.re / count as f64)
            .collect()
    }
}

/// By how much transforms of 2, 4, 8 … up to `count` values turn them: the first half of a full turn, clockwise.
fn turns(count: usize) -> Vec<Vec<Complex>> {
    let turn = |index| Complex::turn(-(index as f64) / count as f64);
    let finest: Vec<Complex> = (0..count / 2).map(turn).collect();
    let sizes = (1..=count.trailing_zeros()).map(|bits| 1usize << bits);
    sizes
        .map(|size| finest.iter().step_by(count / size).copied().collect())
        .collect()
}

/// The discrete Fourier transform of a power of two of values, in place (Cooley and Tukey).
fn transform(values: &mut [Complex], turns: &[Vec<Complex>]) {
    let count = values.len();
    let bits = count.trailing_zeros();
    if bits == 0 {
        return;
    }
    for index in 0..count {
        let mirrored = index.reverse_bits() >> (usize::BITS - bits);
        if index < mirrored {
            values.swap(index, mirrored);
        }
    }
    combine(values, turns);
}

/// Transforms both halves, then combines them. Depth first: a part that fits in the processor's cache is finished there.
fn combine(values: &mut [Complex], turns: &[Vec<Complex>]) {
    let Some((turns, of_halves)) = turns.split_last() else {
        return;
    };
    let (low, high) = values.split_at_mut(turns.len());
    combine(low, of_halves);
    combine(high, of_halves);
    for ((a, b), turn) in low.iter_mut().zip(high).zip(turns) {
        let turned = b.turned(*turn);
        (*a, *b) = (a.plus(turned), a.minus(turned));
    }
}
