//! Beats that follow a tempo that changes.
//!
//! A Viterbi search over time and beat length. A state is a beat at a time, with the length of the beat before it. Its score
//! is the onset strength at the beat plus a share of that half a beat earlier, times the beat length, so that slow and fast
//! tempi compare. Each change of the length has a cost. The work is samples × lengths × changes: linear in the length of
//! the song.

use std::{array, ops::RangeInclusive};

use super::{
    onsets::Onset,
    spectrum::{SAMPLES, Spectrum},
};

/// The shortest and the longest beat, as a share of the usual beat of the song.
const RANGE: (f64, f64) = (0.66, 1.52);

/// The largest change from one beat to the next: a fifth.
const STEP: f64 = 0.2;

/// The cost of a change: 10 % from beat to beat costs the score of a mean onset.
const RIGID: f64 = 100.0;

/// The score of an onset half-way between two beats, as a share of one on a beat: beats are often divided.
const HALF_WAY: f64 = 0.3;

/// The usual lengths of a beat, in seconds: the best distance at which onsets follow each other, and the best one that is
/// not related to it. `most` is the beat that people perceive most often.
pub fn usual_beats(spectrum: Spectrum, most: f64) -> Vec<f64> {
    let (shortest, longest) = (0.3, 1.3);
    let lags = spectrum.autocorrelation((4.2 * longest * SAMPLES) as usize);
    let at = |lag: f64| {
        let index = lag as usize;
        let after = lag.fract();
        match (lags.get(index), lags.get(index + 1)) {
            (Some(a), Some(b)) => a * (1.0 - after) + b * after,
            _ => 0.0,
        }
    };
    let mean = lags.iter().skip(8).sum::<f64>() / lags.len().max(1) as f64;
    let comb = |lag: f64| {
        let away = (lag / SAMPLES / most).log2() / 0.5;
        let sum: f64 = [1.0, 2.0, 3.0, 4.0]
            .iter()
            .map(|times| at(lag * times) - 0.9 * mean)
            .sum();
        sum.max(0.0) * (-0.5 * away * away).exp()
    };
    let candidates: Vec<(f64, f64)> = (0..)
        .map(|index| shortest * SAMPLES + 0.25 * f64::from(index))
        .take_while(|lag| *lag < longest * SAMPLES)
        .map(|lag| (lag / SAMPLES, comb(lag)))
        .collect();
    let mut found: Vec<f64> = Vec::new();
    for _ in 0..2 {
        let free = |beat: f64| {
            found.iter().all(|other| {
                [0.5, 1.0, 2.0]
                    .iter()
                    .all(|times| (beat / other / times - 1.0f64).abs() > 0.12)
            })
        };
        if let Some(best) = candidates
            .iter()
            .filter(|c| free(c.0))
            .max_by(|a, b| a.1.total_cmp(&b.1))
        {
            found.push(best.0);
        }
    }
    found
}

/// How many lengths are compared in one instruction (SIMD).
const LANES: usize = 4;

/// Lengths that a beat may have, one after another, in samples.
struct Lengths {
    samples: [u32; LANES],
    /// The cost of a length far from the usual one.
    unusual: [f64; LANES],
    /// `costs[i][lane]`: the transition cost from length `first + i + lane` of a row. Rows begin [`LANES`] values early,
    /// because lanes read beyond both ends of a row.
    first: usize,
    costs: Vec<[f32; LANES]>,
}

impl Lengths {
    /// Lengths from `first` on. The cost is infinite outside of the range and for changes that are too large.
    fn new(first: usize, range: &RangeInclusive<usize>, middle: f64) -> Self {
        let samples: [usize; LANES] = array::from_fn(|lane| first + lane);
        let near = |before: usize, now: usize| {
            range.contains(&before) && range.contains(&now) && before.abs_diff(now) as f64 <= STEP * now as f64
        };
        let cost = |before: usize, now: usize| {
            if near(before, now) {
                cost_of_change(before as f64, now as f64, middle)
            } else {
                f32::INFINITY
            }
        };
        // The largest change to any of these lengths.
        let widest = (STEP * (first + LANES) as f64) as usize;
        let from = first - widest.min(first + LANES - range.start());
        Self {
            samples: samples.map(|length| length as u32),
            unusual: samples.map(|now| {
                let away = (now as f64 / middle).ln();
                if range.contains(&now) {
                    0.3 * away * away
                } else {
                    f64::INFINITY
                }
            }),
            first: LANES + from - range.start(),
            costs: (from..=first + widest)
                .map(|before| array::from_fn(|lane| cost(before + lane, first + lane)))
                .collect(),
        }
    }

    /// The best score of each lane after a beat of one of the lengths of this row.
    fn most_after(&self, row: &[f32]) -> [f32; LANES] {
        let mut most = [f32::MIN; LANES];
        for (values, costs) in row[self.first..].windows(LANES).zip(&self.costs) {
            for ((most, value), cost) in most.iter_mut().zip(values).zip(costs) {
                // Plain comparison: inputs are never NaN, and `f32::max` is slower.
                let left = value - cost;
                *most = if left > *most { left } else { *most };
            }
        }
        most
    }

    /// The preceding length that gives a lane its best score, as an index in the row.
    fn before(&self, lane: usize, row: &[f32]) -> usize {
        let most = self.most_after(row)[lane];
        let is_most = |(value, costs): (&f32, &[f32; LANES])| value - costs[lane] == most;
        let first = self.first + lane;
        first + row[first..].iter().zip(&self.costs).position(is_most).unwrap_or(0)
    }
}

/// The cost of a beat of the length `now` after one of the length `before`, all in samples. `middle` is the usual length.
fn cost_of_change(before: f64, now: f64, middle: f64) -> f32 {
    // Ignore one-sample changes: they are rounding.
    let change = ((now / before).ln().abs() - 0.6 / now).max(0.0);
    (RIGID * change * change * middle) as f32
}

/// The beats that follow the onsets best at about each of these lengths, in seconds.
pub fn follow(onsets: &[Onset], usual: &[f64]) -> Vec<Vec<f64>> {
    let origin = onsets[0].seconds - 0.5;
    let samples = ((onsets[onsets.len() - 1].seconds - origin) * SAMPLES) as usize + 32;
    let strength = strengths(onsets, origin, samples);
    let mut memory = Vec::new();
    let follow = |&usual: &f64| {
        let mut beats = best_way(&strength, usual, origin, &mut memory);
        settle(onsets, &mut beats);
        beats
    };
    usual.iter().map(follow).collect()
}

/// The beats of about this length with the best score. `best` is reused: allocating it is slow.
fn best_way(strength: &[f64], usual: f64, origin: f64, best: &mut Vec<f32>) -> Vec<f64> {
    let samples = strength.len();
    let shortest = ((usual * RANGE.0 * SAMPLES).round() as usize).max(6);
    let longest = ((usual * RANGE.1 * SAMPLES).round() as usize).max(shortest + 2);
    let middle = usual * SAMPLES;
    let range = shortest..=longest;
    let lengths: Vec<Lengths> = range
        .clone()
        .step_by(LANES)
        .map(|first| Lengths::new(first, &range, middle))
        .collect();
    let width = lengths.len() * LANES;
    // The best score up to each state: a row of lengths for each sample, and for a beat after the song.
    best.clear();
    best.resize(LANES + (samples + shortest + width) * width, 0.0);
    // Nothing begins before the song.
    let half_way = [vec![0.0; longest], strength.to_vec()].concat();
    for (now, &here) in strength.iter().enumerate() {
        let row = now * width;
        let states = best[LANES + row..][..width].chunks_exact_mut(LANES);
        for (states, lengths) in states.zip(&lengths) {
            for ((state, length), unusual) in states.iter_mut().zip(lengths.samples).zip(lengths.unusual) {
                let half = half_way[longest + now - length as usize / 2];
                *state += (f64::from(length) * (here + HALF_WAY * half - unusual)) as f32;
            }
        }
        // From each state the next beat can follow, with any length.
        for (group, lengths) in lengths.iter().enumerate() {
            let most = lengths.most_after(&best[row..]);
            for (lane, (most, length)) in most.into_iter().zip(lengths.samples).enumerate() {
                best[LANES + row + length as usize * width + group * LANES + lane] = most;
            }
        }
    }
    // Trace back from the best of the last beats.
    let last = (samples.saturating_sub(longest)..samples)
        .flat_map(|now| (LANES..LANES + width).map(move |index| (now, index)))
        .max_by(|a, b| best[a.0 * width + a.1].total_cmp(&best[b.0 * width + b.1]));
    let Some((mut now, mut index)) = last else {
        return Vec::new();
    };
    let mut beats = vec![origin + now as f64 / SAMPLES];
    while let Some(before) = now.checked_sub(shortest + index - LANES) {
        let (group, lane) = (index / LANES - 1, index % LANES);
        (now, index) = (before, lengths[group].before(lane, &best[before * width..]));
        beats.push(origin + now as f64 / SAMPLES);
    }
    beats.reverse();
    beats
}

/// How much begins at each sample: bells of 20 ms, as deviations from the loudness around.
fn strengths(onsets: &[Onset], origin: f64, samples: usize) -> Vec<f64> {
    let mut strength = vec![0.0; samples];
    for onset in onsets {
        let at = (onset.seconds - origin) * SAMPLES;
        let weight = onset.weight + 0.5 * onset.bass + 0.3 * onset.length + 0.7 * onset.kick.max(onset.snare);
        let first = (at - 4.0).max(0.0) as usize;
        for (sample, value) in strength.iter_mut().enumerate().skip(first).take(9) {
            let away = (sample as f64 - at) / 1.4;
            *value += weight * (-0.5 * away * away).exp();
        }
    }
    let mean = strength.iter().map(|v| v * v).sum::<f64>() / samples as f64;
    let scale = mean.sqrt().max(1e-9);
    for value in &mut strength {
        *value = (*value / scale).min(4.0);
    }
    strength
}

/// Moves each beat to the onset that it was found at, then to the line through it and its neighbours.
fn settle(onsets: &[Onset], beats: &mut [f64]) {
    let mut near = 0;
    let found: Vec<(f64, f64)> = beats
        .iter()
        .map(|&beat| {
            while near < onsets.len() && onsets[near].seconds < beat - 0.05 {
                near += 1;
            }
            let (mut sum, mut total) = (0.05 * beat, 0.05);
            for onset in onsets[near..].iter().take_while(|onset| onset.seconds <= beat + 0.05) {
                let away = (onset.seconds - beat) / 0.03;
                let weight = (onset.weight + onset.bass) * (-0.5 * away * away).exp();
                sum += weight * onset.seconds;
                total += weight;
            }
            (sum / total, total.min(1.5))
        })
        .collect();
    const REACH: usize = 3;
    for index in 0..beats.len() {
        let from = index.saturating_sub(REACH);
        let to = (index + REACH + 1).min(beats.len());
        let (mut w, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (other, &(time, total)) in found.iter().enumerate().take(to).skip(from) {
            let away = other as f64 - index as f64;
            let weight = total * (1.0 - away.abs() / (REACH + 1) as f64);
            w += weight;
            x += weight * away;
            y += weight * time;
            xx += weight * away * away;
            xy += weight * away * time;
        }
        let spread = w * xx - x * x;
        if spread > 1e-9 {
            let slope = (w * xy - x * y) / spread;
            // Half the line, half the onset itself: a beat that is played late is late.
            let line = (y - slope * x) / w;
            beats[index] = 0.6 * line + 0.4 * found[index].0;
        }
    }
    for index in 1..beats.len() {
        beats[index] = beats[index].max(beats[index - 1] + 0.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_compared_with_all_that_are_near() {
        for (shortest, longest) in [(6, 8), (12, 29), (31, 72), (55, 126)] {
            let (range, middle) = (shortest..=longest, f64::from((shortest + longest) as u32) / 2.0);
            // What is before and after the row would win, if it were looked at.
            let mut row = vec![1e6; 200];
            let places = LANES..=LANES + longest - shortest;
            places.for_each(|index| row[index] = (index * index * 7919 % 1013) as f32);
            for now in range.clone() {
                let (group, lane) = ((now - shortest) / LANES * LANES + shortest, (now - shortest) % LANES);
                let lengths = Lengths::new(group, &range, middle);
                let left =
                    |before: usize| row[LANES + before - shortest] - cost_of_change(before as f64, now as f64, middle);
                let near = |before: &usize| before.abs_diff(now) * 5 <= now;
                let best = range.clone().filter(near).max_by(|&a, &b| left(a).total_cmp(&left(b)));
                let best = best.unwrap_or_default();
                assert_eq!(lengths.most_after(&row)[lane], left(best), "{now} of {range:?}");
                assert_eq!(
                    left(lengths.before(lane, &row) + shortest - LANES),
                    left(best),
                    "{now} of {range:?}"
                );
            }
        }
    }
}
