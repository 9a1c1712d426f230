//! Finds the beat of a score, and its first downbeat.
//!
//! We choose the tempo whose sixteenth-note grid fits the onsets best. The fit at a tempo is the length of the mean of
//! the onsets' unit vectors, `|mean exp(2πi·f·t)|`, where `f` is the rate of its sixteenths (or of its triplets, for
//! swung notes): 1 if all onsets are on the grid, near 0 if they have nothing to do with it. The fit alone cannot tell
//! 90 BPM from 135, because their grids share points. So the fits at the rates of eighths and quarters count too: more
//! notes begin on eighths and quarters than between them. Least squares then refine the best tempo.
//!
//! A wrong tempo with high confidence is worse than no tempo. The confidence is low if the fit is not far above chance
//! (drift, rubato, few notes), or if a tempo other than half or double fits nearly as well.

use std::collections::BTreeMap;

use super::instruments::{self, Sound};
use crate::score::{Note, Score};

/// The slowest and the fastest tempo that we consider, in BPM.
const SLOWEST: f64 = 60.0;
const FASTEST: f64 = 200.0;

/// Below this confidence a file stays at 120 BPM. No wrong tempo reaches it on the synthetic songs of `tests/tempo.rs`.
pub const MIN_CONFIDENCE: f64 = 0.6;

/// With fewer different onsets, some grid always fits by chance.
const MIN_ONSETS: usize = 16;

/// The longest score whose beat we infer, in seconds: the work grows with the square of the length. The provider's
/// longest song has 8 minutes.
const MAX_SECONDS: f64 = 1200.0;

/// The most vector rotations (onsets × rates): about a second on a small Lambda. Only a song that is both far longer
/// and far denser than the provider's needs more. We then use only its heaviest onsets.
const MAX_WORK: usize = 400_000_000;

/// A note below this pitch (C3) is a bass note.
const LOW: u8 = 48;

/// The beat of a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beat {
    /// The length of a beat, in seconds.
    pub period: f64,
    /// The first downbeat: the beginning of the first whole bar of four beats, in seconds.
    pub downbeat: f64,
    /// How sure this is, 0 to 1.
    pub confidence: f64,
}

/// A time at which notes begin.
#[derive(Debug, Clone, Copy)]
struct Onset {
    seconds: f64,
    weight: f64,
}

/// The beat that fits the onsets of a score best, even if it fits badly; `None` if the score has too few onsets or is
/// too long.
pub fn infer(score: &Score) -> Option<Beat> {
    let onsets = onsets(score);
    let (first, last) = (onsets.first()?.seconds, onsets.last()?.seconds);
    if onsets.len() < MIN_ONSETS || last - first > MAX_SECONDS {
        return None;
    }
    let spectrum = Spectrum::new(&onsets, last - first);
    let (period, confidence) = spectrum.best()?;
    let (period, phase) = refine(&onsets, period, spectrum.phase(4.0 / period));
    Some(Beat {
        period,
        downbeat: downbeat(score, period, phase),
        confidence,
    })
}

/// The first downbeat of a score, in seconds, if the length of its beat is known to be `period` seconds.
pub fn downbeat_at(score: &Score, period: f64) -> f64 {
    let onsets = onsets(score);
    let Some(first) = onsets.first() else { return 0.0 };
    let turn = |onset: &Onset| Complex::turn(4.0 / period * (onset.seconds - first.seconds)).times(onset.weight);
    let sum = onsets.iter().map(turn).fold(Complex::ZERO, Complex::plus);
    downbeat(score, period, first.seconds + sum.turns() * period / 4.0)
}

/// The onsets of a score on the provider's grid of 1/192 s. Louder onsets and those of more notes weigh more.
fn onsets(score: &Score) -> Vec<Onset> {
    let mut loudness: BTreeMap<u64, f64> = BTreeMap::new();
    for note in score.notes() {
        *loudness.entry((note.start * 192.0).round() as u64).or_default() += f64::from(note.velocity) / 127.0;
    }
    loudness
        .into_iter()
        .map(|(step, loudness)| Onset {
            seconds: step as f64 / 192.0,
            weight: loudness.sqrt(),
        })
        .collect()
}

/// The heaviest onsets, at most `at_most` of them.
fn heaviest(onsets: &[Onset], at_most: usize) -> Vec<Onset> {
    let mut onsets = onsets.to_vec();
    if onsets.len() > at_most {
        onsets.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        onsets.truncate(at_most);
    }
    onsets
}

/// The mean vector of the onsets at evenly spaced rates.
struct Spectrum {
    /// The first rate and the distance between two rates, in Hz.
    first: f64,
    step: f64,
    means: Vec<Complex>,
    /// The time at which all vectors have the angle 0.
    origin: f64,
    /// The length that the best rate reaches by chance.
    noise: f64,
}

impl Spectrum {
    fn new(onsets: &[Onset], span: f64) -> Self {
        // Six rates across the width of a peak.
        let step = 1.0 / (6.0 * span);
        let first = SLOWEST / 60.0 * 0.9;
        let count = ((FASTEST / 60.0 * 4.0 - first) / step).ceil() as usize + 2;
        let origin = onsets[0].seconds + span / 2.0;
        let onsets = &heaviest(onsets, MAX_WORK / count);
        let total: f64 = onsets.iter().map(|onset| onset.weight).sum();
        let squares: f64 = onsets.iter().map(|onset| onset.weight * onset.weight).sum();

        let mut means = vec![Complex::ZERO; count];
        for onset in onsets {
            // Rotating one vector from rate to rate is cheaper than a sine and a cosine for each rate.
            let mut vector = Complex::turn(first * (onset.seconds - origin)).times(onset.weight / total);
            let turn = Complex::turn(step * (onset.seconds - origin));
            for mean in &mut means {
                *mean = mean.plus(vector);
                vector = vector.turned(turn);
            }
        }
        let noise = ((count as f64 / 6.0).ln() * squares).sqrt() / total;
        Self {
            first,
            step,
            means,
            origin,
            noise,
        }
    }

    fn at(&self, rate: f64) -> Complex {
        let index = ((rate - self.first) / self.step).round().max(0.0) as usize;
        self.means.get(index).copied().unwrap_or(Complex::ZERO)
    }

    /// A time on the grid of this rate.
    fn phase(&self, rate: f64) -> f64 {
        self.origin + self.at(rate).turns() / rate
    }

    /// How well the onsets fit the sixteenths of this rate, or the triplets of the same beat.
    fn fit(&self, rate: f64) -> f64 {
        self.at(rate).length().max(0.95 * self.at(rate * 0.75).length())
    }

    /// The fit, plus those of the eighths and the quarters.
    fn score(&self, rate: f64) -> f64 {
        self.fit(rate) + 0.3 * self.at(rate * 0.5).length() + 0.8 * self.at(rate * 0.25).length()
    }

    /// This rate, its half or its double: the one that people would tap. Only this choice uses a narrow bell: what
    /// people usually tap must not decide which tempos are considered at all.
    fn octave(&self, rate: f64) -> f64 {
        let in_range = |rate: &f64| (SLOWEST..=FASTEST).contains(&(rate * 15.0));
        let taste = |rate: &f64| self.score(*rate) * likely(*rate, 0.6);
        [rate, rate / 2.0, rate * 2.0]
            .into_iter()
            .filter(in_range)
            .max_by(|a, b| taste(a).total_cmp(&taste(b)))
            .unwrap_or(rate)
    }

    /// The best length of a beat, in seconds, and its confidence.
    fn best(&self) -> Option<(f64, f64)> {
        let from = ((SLOWEST / 60.0 * 4.0 - self.first) / self.step).ceil() as usize;
        let candidates: Vec<(f64, f64, f64)> = (from..self.means.len())
            .map(|index| {
                let rate = self.first + self.step * index as f64;
                (rate, self.fit(rate), self.score(rate) * likely(rate, 0.9))
            })
            .collect();
        let &(rate, fit, score) = candidates.iter().max_by(|a, b| a.2.total_cmp(&b.2))?;
        let kin = |other: f64| {
            [0.5, 1.0, 2.0]
                .iter()
                .any(|times| (other / rate / times - 1.0).abs() < 0.02)
        };
        let rival = candidates
            .iter()
            .filter(|candidate| !kin(candidate.0))
            .map(|candidate| candidate.2)
            .fold(0.0, f64::max);
        let above_chance = ((fit - self.noise) / (1.0 - self.noise)).clamp(0.0, 1.0);
        let margin = ((1.0 - rival / score) / 0.3).clamp(0.0, 1.0);
        // Swung eighths also fit the straight eighths of a tempo 1.5 times as fast. But at that tempo, the onsets on
        // the beats are no stronger than those between them.
        let pulse = (self.at(rate / 4.0).length() / 0.1).min(1.0);
        Some((4.0 / self.octave(rate), above_chance * margin * pulse))
    }
}

/// A bell curve around 112 BPM, the tempo that people perceive most often. `octaves` is its width.
fn likely(rate: f64, octaves: f64) -> f64 {
    let away = (rate * 15.0 / 112.0).log2() / octaves;
    (-0.5 * away * away).exp()
}

/// Refines the period and the phase of a beat: weighted least squares between the onsets and their nearest sixteenths.
fn refine(onsets: &[Onset], period: f64, phase: f64) -> (f64, f64) {
    let (mut sixteenth, mut phase) = (period / 4.0, phase);
    for _ in 0..5 {
        let (mut w, mut n, mut t, mut nn, mut nt) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for onset in onsets {
            let index = ((onset.seconds - phase) / sixteenth).round();
            // Ignore onsets far from the grid, such as those of swung notes and grace notes.
            let distance = (onset.seconds - phase - index * sixteenth).abs() / sixteenth;
            if distance < 0.25 {
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
        let slope = (w * nt - n * t) / spread;
        if (slope / sixteenth - 1.0).abs() > 0.02 {
            break;
        }
        (sixteenth, phase) = (slope, (t - slope * n) / w);
    }
    (sixteenth * 4.0, phase)
}

/// The first downbeat at or after 0, from the length of a beat and a time on its sixteenth-note grid.
///
/// A bar has sixteen places. We choose the one with the heaviest notes. Long notes, low notes and kick drums are heavy.
/// Snares count against a place, because they mark the second and the fourth beat.
fn downbeat(score: &Score, period: f64, phase: f64) -> f64 {
    let sixteenth = period / 4.0;
    let mut places = [0.0; 16];
    for instrument in &score.instruments {
        let drums = instruments::recognise(&instrument.name) == Some(Sound::Drums);
        let mut last = None;
        for note in &instrument.notes {
            let index = ((note.start - phase) / sixteenth).round();
            // Harmonies change at bar lines: a bass note on a new pitch says more than a repeated one.
            let moved = last.replace(note.pitch) != Some(note.pitch) && note.pitch < LOW && !drums;
            let moves = if moved { 1.5 } else { 1.0 };
            places[index.rem_euclid(16.0) as usize % 16] += moves * gravity(note, drums, period);
        }
    }
    // The beats of the bar support its downbeat, the third beat most.
    let weight = |place: usize| {
        let at = |offset: usize| places[(place + offset) % 16];
        at(0) + 0.5 * at(8) + 0.25 * (at(4) + at(12))
    };
    let best = (0..16)
        .max_by(|&a, &b| weight(a).total_cmp(&weight(b)).then(b.cmp(&a)))
        .unwrap_or(0);
    (phase + best as f64 * sixteenth).rem_euclid(4.0 * period)
}

/// How much a note speaks for a downbeat.
fn gravity(note: &Note, drums: bool, period: f64) -> f64 {
    let loudness = f64::from(note.velocity) / 127.0;
    match (drums, note.pitch) {
        (true, 35 | 36) => 2.0 * loudness,
        (true, 37..=40) => -loudness,
        (true, _) => 0.2 * loudness,
        (false, pitch) => {
            let beats = ((note.end - note.start) / period).min(4.0);
            loudness * (0.2 + beats) * if pitch < LOW { 2.0 } else { 1.0 }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    const ZERO: Self = Self { re: 0.0, im: 0.0 };

    /// The unit vector at an angle, in turns.
    fn turn(turns: f64) -> Self {
        let (im, re) = (std::f64::consts::TAU * turns.fract()).sin_cos();
        Self { re, im }
    }

    fn turns(self) -> f64 {
        self.im.atan2(self.re) / std::f64::consts::TAU
    }

    fn length(self) -> f64 {
        self.re.hypot(self.im)
    }

    fn times(self, factor: f64) -> Self {
        Self {
            re: self.re * factor,
            im: self.im * factor,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }

    fn turned(self, by: Self) -> Self {
        Self {
            re: self.re * by.re - self.im * by.im,
            im: self.re * by.im + self.im * by.re,
        }
    }
}
