//! Beats → bars: which beat of a bar each beat is, and how well beats and bars fit what is heard.

use super::features::{BeatFeatures, dot};
use crate::options::Meter;

/// What a bar of another length costs. A feature is 1 or so.
const IRREGULAR: f64 = 12.0;
/// Added if the song begins with a bar, which decides where nothing else does.
const FIRST: f64 = 3.0;
/// How much better an unusual metre must fit.
const UNUSUAL: f64 = 0.1;

/// The bars that were found for a beat track.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// The metre of most bars.
    pub meter: Meter,
    /// Which beat of its bar each beat is, from 0.
    pub positions: Vec<u8>,
    /// How well they fit, per beat.
    pub score: f64,
    /// How much worse the bars fit if all of them begin at another beat.
    pub margin: f64,
}

impl BeatFeatures {
    /// The bars in the metre that fits better; the usual one unless the other fits clearly better.
    pub fn best_bars(&self, other: Meter, usual: Meter) -> Bars {
        let (other, usual) = (self.bars(other), self.bars(usual));
        if other.score > usual.score + UNUSUAL {
            other
        } else {
            usual
        }
    }

    /// The bars that fit best in a metre. Most have its length; where a song has a shorter bar, one is shorter.
    pub fn bars(&self, meter: Meter) -> Bars {
        let width = usize::from(meter.beats);
        let count = self.of_beats.len();
        let template: Vec<[f64; 3]> = (0..width).map(|position| template(width, position)).collect();
        let fit = |beat: usize, position: usize| {
            let first = if position == 0 && self.first == Some(beat) {
                FIRST
            } else {
                0.0
            };
            first + dot(&self.of_beats[beat], &template[position])
        };
        let mut best: Vec<f64> = (0..width).map(|position| fit(0, position)).collect();
        let mut next = vec![0.0; width];
        let mut from: Vec<u8> = (0..width).map(|position| position as u8).collect();
        from.reserve(count * width);
        for beat in 1..count {
            // One-beat bars are not allowed.
            let (early, value) = (1..width)
                .map(|position| (position, best[position] - IRREGULAR))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .unwrap_or((0, f64::MIN));
            for (position, most) in next.iter_mut().enumerate() {
                let before = (position + width - 1) % width;
                let (mut came, mut sum) = (before, best[before]);
                if position == 0 && value > sum {
                    (came, sum) = (early, value);
                }
                from.push(came as u8);
                *most = sum + fit(beat, position);
            }
            std::mem::swap(&mut best, &mut next);
        }
        let mut position = (0..width).max_by(|&a, &b| best[a].total_cmp(&best[b])).unwrap_or(0);
        let score = best[position] / count as f64;
        let mut positions = vec![0; count];
        for beat in (0..count).rev() {
            positions[beat] = position as u8;
            position = usize::from(from[beat * width + position]);
        }

        // The same without irregular bars: how much worse is the second best position to begin?
        let mut regular = vec![0.0; width];
        for beat in 0..count {
            for (begin, sum) in regular.iter_mut().enumerate() {
                *sum += fit(beat, (beat + width - begin) % width);
            }
        }
        regular.sort_by(|a, b| b.total_cmp(a));
        let margin = regular.first().zip(regular.get(1)).map_or(0.0, |(a, b)| a - b);
        Bars {
            meter,
            positions,
            score,
            margin: margin / count as f64,
        }
    }
}

/// What is expected of each feature at a position of a bar. The sum over a bar is 0, so that metres compare.
fn template(width: usize, position: usize) -> [f64; 3] {
    let others = -1.0 / (width as f64 - 1.0);
    let accent = match (width, position) {
        (_, 0) => 1.0,
        (4, 2) => 0.3,
        (4, _) => -0.65,
        _ => others,
    };
    let new = match (width, position) {
        (_, 0) => 1.0,
        (4, 2) => -0.6,
        (4, _) => -0.2,
        _ => others,
    };
    let backbeat = match (width, position) {
        (2 | 3, 0) | (4, 0 | 2) => -0.5,
        (2 | 4, _) => 0.5,
        _ => 0.25,
    };
    [accent, new, backbeat]
}
