//! How periodic the onsets are, at every rate.
//!
//! Two views of one Fourier transform of the onsets: its values ([`Spectrum::at`]) say how well the onsets fit an even grid
//! of a rate over the whole song; its power, transformed back, is the autocorrelation ([`Spectrum::autocorrelation`]), which
//! says how often an onset follows another after a time, even where the tempo drifts.
//!
//! The time is O(n log n) in the length of the song. We wrote the transform ourselves: the common libraries choose
//! instructions by the machine, so the last bits of a result, and with them a file, could differ between machines.

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

    /// The product with a real factor.
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

    /// The complex conjugate.
    fn conjugate(self) -> Self {
        Self {
            re: self.re,
            im: -self.im,
        }
    }

    fn product(self, by: Self) -> Self {
        Self {
            re: self.re * by.re - self.im * by.im,
            im: self.re * by.im + self.im * by.re,
        }
    }
}

/// The Fourier transform of the onsets of a song.
pub struct Spectrum {
    /// For rates up to half of [`SAMPLES`]; those above mirror them.
    values: Vec<Complex>,
    /// The twiddle factors.
    turns: Vec<Vec<Complex>>,
    /// The time with the angle 0: the first onset.
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
        let count = (samples * PADDING).next_power_of_two();
        let mut values = Vec::with_capacity(count / 2 + 1);
        values.resize(count / 2, Complex::default());
        let mut total = 0.0;
        for onset in onsets {
            total += onset.weight;
            // Shared between the two nearest samples.
            let at = ((onset.seconds - origin) * SAMPLES).max(0.0);
            let index = at as usize;
            let after = at - at.floor();
            *real(&mut values, index) += onset.weight * (1.0 - after);
            *real(&mut values, index + 1) += onset.weight * after;
        }
        let turns = turns(count);
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
        SAMPLES / (2 * (self.values.len() - 1)) as f64
    }

    /// The mean vector of the onsets at a rate in Hz. Its length is 1 if all onsets are on the grid of this rate, near 0 if
    /// they are spread evenly.
    pub fn at(&self, rate: f64) -> Complex {
        let index = (rate / self.step()).round() as usize;
        let value = self.values.get(index).copied().unwrap_or_default();
        // The sharing between samples damps high rates.
        let x = std::f64::consts::PI * rate / SAMPLES;
        let damping = if x < 1e-6 { 1.0 } else { (x.sin() / x).powi(2) };
        // The transform turns clockwise.
        value.conjugate().times(1.0 / (self.total * damping))
    }

    /// A time on the grid of this rate.
    pub fn phase(&self, rate: f64) -> f64 {
        self.origin + self.at(rate).turns() / rate
    }

    /// The autocorrelation for each distance in samples up to `most`, smoothed by some 25 ms. It grows with the weights.
    pub fn autocorrelation(mut self, most: usize) -> Vec<f64> {
        let (step, half) = (self.step(), self.values.len() - 1);
        let power = |index: usize, value: Complex| {
            // Smoothing each onset by a bell of 18 ms is a product here.
            let bell = (-0.5 * (TAU * index as f64 * step * 0.018).powi(2)).exp();
            (value.re * value.re + value.im * value.im) * bell * bell
        };
        // The powers take the places of the values, and those of the rates above half of the samples mirror them.
        let last = self.values.pop().map_or(0.0, |value| power(half, value));
        for index in 0..half {
            *real(&mut self.values, index) = power(index, self.values[index]);
        }
        *real(&mut self.values, half) = last;
        for index in 1..half {
            *real(&mut self.values, 2 * half - index) = *real(&mut self.values, index);
        }
        transform(&mut self.values, &self.turns);
        let count = (2 * half) as f64;
        self.values
            .iter()
            .take(most + 1)
            .map(|value| value.re / count)
            .collect()
    }
}

/// `values` holds reals in pairs: index 2k is `values[k].re`, 2k + 1 is `values[k].im`.
fn real(values: &mut [Complex], index: usize) -> &mut f64 {
    let pair = &mut values[index / 2];
    if index.is_multiple_of(2) {
        &mut pair.re
    } else {
        &mut pair.im
    }
}

/// The twiddle factors for transforms of 2, 4, 8 … `count` values. The last entry is for the real-input step and needs
/// only a quarter of the circle.
fn turns(count: usize) -> Vec<Vec<Complex>> {
    let quarter: Vec<Complex> = (0..=count / 4)
        .map(|index| Complex::turn(-(index as f64) / count as f64))
        .collect();
    let turn = |index: usize| match quarter.get(index) {
        Some(turn) => *turn,
        None => quarter[count / 2 - index].conjugate().times(-1.0),
    };
    let sizes = (1..count.trailing_zeros()).map(|bits| 1usize << bits);
    let mut turns: Vec<Vec<Complex>> = sizes
        .map(|size| (0..size / 2).map(|index| turn(index * (count / size))).collect())
        .collect();
    turns.push(quarter);
    turns
}

/// The discrete Fourier transform of a power of two of [`real`] values, in place: its first half, and the value after it.
fn transform(values: &mut Vec<Complex>, turns: &[Vec<Complex>]) {
    let half = values.len();
    let bits = half.trailing_zeros();
    let Some((turns, of_halves)) = turns.split_last().filter(|_| bits > 0) else {
        return;
    };
    for index in 0..half {
        let mirrored = index.reverse_bits() >> (usize::BITS - bits);
        if index < mirrored {
            values.swap(index, mirrored);
        }
    }
    combine(values, of_halves);
    // Split the packed spectrum into its even and odd parts and combine them (real-input FFT).
    values.push(values[0]);
    for (index, turn) in turns.iter().enumerate() {
        let (a, b) = (values[index], values[half - index].conjugate());
        let (even, odd) = (a.plus(b).times(0.5), a.minus(b).times(0.5));
        let odd = Complex {
            re: odd.im,
            im: -odd.re,
        }
        .product(*turn);
        values[index] = even.plus(odd);
        values[half - index] = even.minus(odd).conjugate();
    }
}

/// Transforms both halves, then combines them (Cooley and Tukey). The values are in the order of their mirrored bits. Depth
/// first: a part that fits in the processor's cache is finished there.
fn combine(values: &mut [Complex], turns: &[Vec<Complex>]) {
    let Some((turns, of_halves)) = turns.split_last() else {
        return;
    };
    let (low, high) = values.split_at_mut(turns.len());
    combine(low, of_halves);
    combine(high, of_halves);
    for ((a, b), turn) in low.iter_mut().zip(high).zip(turns) {
        let product = b.product(*turn);
        (*a, *b) = (a.plus(product), a.minus(product));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_is_the_sum_that_defines_it() {
        for count in [4, 8, 64] {
            let values: Vec<f64> = (0..count)
                .map(|index| f64::from(index * index * 7 % 11) - 3.0)
                .collect();
            let mut transformed: Vec<Complex> = values
                .chunks(2)
                .map(|pair| Complex {
                    re: pair[0],
                    im: pair[1],
                })
                .collect();
            transform(&mut transformed, &turns(values.len()));
            assert_eq!(transformed.len(), values.len() / 2 + 1);
            for (rate, found) in transformed.into_iter().enumerate() {
                let turn = |index: usize| Complex::turn(-((rate * index) as f64) / f64::from(count));
                let sum = values
                    .iter()
                    .enumerate()
                    .map(|(index, value)| turn(index).times(*value))
                    .fold(Complex::default(), Complex::plus);
                assert!(
                    found.minus(sum).length() < 1e-12,
                    "{count}, {rate}: {found:?}, not {sum:?}"
                );
            }
        }
    }

    #[test]
    fn the_autocorrelation_is_highest_at_the_distance_of_the_onsets() {
        let onset = |index: u32| Onset {
            seconds: 1.0 + 0.5 * f64::from(index),
            weight: 1.0,
            ..Onset::default()
        };
        let onsets: Vec<Onset> = (0..64).map(onset).collect();
        let found = Spectrum::new(&onsets).autocorrelation(48);
        let highest = (8..=48).max_by(|&a, &b| found[a].total_cmp(&found[b]));
        assert_eq!(highest, Some(32), "{found:?}");
    }
}
