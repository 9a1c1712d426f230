//! What a listener hears at each beat of a beat track, and between beats.

use super::onsets::{Onset, Onsets, TOGETHER};

/// An onset closer to a beat than this share of the distance of two beats is on the beat.
const NEAR: f64 = 0.15;

/// The weights of an accent: everything that begins, the kick drum, the bass, the chord. Each counts by its deviation
/// from the mean.
const ACCENT_WEIGHT: f64 = 0.5;
const ACCENT_KICK: f64 = 0.5;
const ACCENT_BASS: f64 = 0.4;
const ACCENT_NOTES: f64 = 0.3;
/// The weights of a beginning: a crash cymbal, a new bass note, a long note, and a change of harmony over two and over
/// four beats.
const NEW_CRASH: f64 = 0.4;
const NEW_BASS: f64 = 0.25;
const NEW_LENGTH: f64 = 0.25;
const NEW_HARMONY: f64 = 0.5;
/// No feature counts for more than this many standard deviations.
const MOST_DEVIATIONS: f64 = 3.0;
/// The weights of a backbeat: a snare drum speaks for it, a kick drum against it.
const SNARE: f64 = 0.4;
const KICK: f64 = 0.28;

/// What a listener hears at each beat of a beat track, and between beats.
pub struct BeatFeatures {
    /// How much each beat is an accent, the beginning of something, and a backbeat.
    pub of_beats: Vec<[f64; 3]>,
    /// The beat at which the song begins, if it begins at a beat.
    pub first: Option<usize>,
    /// How much stronger beats are than the off-beats half-way between them, -1 to 1: by weight, bass, length and drums.
    pub offbeat_contrast: [f64; 4],
    /// The same for the positions a quarter and three quarters of the way.
    pub sixteenth_contrast: [f64; 4],
    /// The mean change of the harmony at beats less that half-way between.
    pub harmony: f64,
    /// How much kick and snare alternate from beat to beat, 0 to 1.
    pub alternation: f64,
}

impl BeatFeatures {
    /// The features of these beats, at least two.
    pub fn new(onsets: &Onsets, beats: &[f64]) -> Self {
        let count = beats.len();
        // The strongest of each at each beat; `kick` and `snare` also for the backbeat.
        let mut at = vec![Onset::default(); count];
        // On beats, half-way and a quarter of the way between them.
        let mut between = [[0.0f64; 4]; 3];
        let mut beat = 0;
        for onset in &onsets.list {
            while beat + 1 < count && onset.seconds >= (beats[beat] + beats[beat + 1]) / 2.0 {
                beat += 1;
            }
            let distance = onset.seconds - beats[beat];
            let gap = if distance >= 0.0 && beat + 1 < count {
                beats[beat + 1] - beats[beat]
            } else {
                beats[beat.max(1)] - beats[beat.max(1) - 1]
            };
            let phase = distance.abs() / gap;
            // In a slow song, a sixteenth can be this near to a beat. So an onset counts more the nearer it is.
            let (place, near) = if phase < NEAR {
                at[beat].max_with(onset);
                (0, 1.0 - phase / NEAR)
            } else if phase > 0.35 {
                (1, 1.0)
            } else {
                (2, 1.0)
            };
            let heard = [onset.weight, onset.bass, onset.length, onset.kick.max(onset.snare)];
            for (sum, value) in between[place].iter_mut().zip(heard) {
                *sum += near * value;
            }
        }
        let contrast = |index: usize, kind: usize| {
            let (on, off) = (between[0][kind], between[index][kind]);
            (on - off) / (on + off + 1.0)
        };
        let classes = pitch_classes(onsets, beats);
        let [two, four] = [2, 4].map(|width| harmony_changes(&classes, width));
        let half_way: Vec<f64> = beats.windows(2).map(|w| (w[0] + w[1]) / 2.0).collect();
        let off_beats = harmony_changes(&pitch_classes(onsets, &half_way), 2);
        Self {
            harmony: mean(&two) - mean(&off_beats),
            of_beats: of_beats(onsets, beats, &at, [two, four]),
            offbeat_contrast: std::array::from_fn(|kind| contrast(1, kind)),
            sixteenth_contrast: std::array::from_fn(|kind| contrast(2, kind)),
            alternation: if onsets.has_snare {
                alternation(onsets, &at)
            } else {
                0.0
            },
            first: onsets.list.first().and_then(|onset| {
                let gap = beats[1] - beats[0];
                beats.iter().position(|beat| (beat - onset.seconds).abs() < NEAR * gap)
            }),
        }
    }
}

impl Onset {
    /// Keeps the larger value of each feature.
    fn max_with(&mut self, other: &Self) {
        let keep = |value: &mut f64, other: f64| *value = value.max(other);
        keep(&mut self.weight, other.weight);
        keep(&mut self.kick, other.kick);
        keep(&mut self.snare, other.snare);
        keep(&mut self.crash, other.crash);
        keep(&mut self.bass, other.bass);
        keep(&mut self.bass_moves, other.bass_moves * (0.5 + other.bass));
        keep(&mut self.length, other.length);
        keep(&mut self.notes, other.notes.sqrt());
    }
}

/// How much each beat is an accent, the beginning of something, and a backbeat.
fn of_beats(onsets: &Onsets, beats: &[f64], at: &[Onset], harmony: [Vec<f64>; 2]) -> Vec<[f64; 3]> {
    // Leave out the beats after the last onset.
    let last = onsets.list.last().map_or(0.0, |onset| onset.seconds + TOGETHER);
    let heard = beats.partition_point(|beat| *beat <= last);
    let mut features: Vec<[f64; 3]> = at
        .iter()
        .map(|onset| {
            let backbeat = SNARE * onset.snare - KICK * onset.kick;
            [0.0, 0.0, if onsets.has_snare { backbeat } else { 0.0 }]
        })
        .collect();
    let mut add = |feature: usize, weight: f64, values: Vec<f64>| {
        let values = &values[..heard];
        let middle = mean(values);
        let deviation = mean(&values.iter().map(|v| (v - middle).powi(2)).collect::<Vec<_>>()).sqrt();
        if deviation > 1e-9 {
            for (sum, value) in features.iter_mut().zip(values) {
                sum[feature] += weight * ((value - middle) / deviation).min(MOST_DEVIATIONS);
            }
        }
    };
    let each = |value: fn(&Onset) -> f64| at.iter().map(value).collect::<Vec<f64>>();
    add(0, ACCENT_WEIGHT, each(|onset| onset.weight));
    add(0, ACCENT_KICK, each(|onset| onset.kick));
    add(0, ACCENT_BASS, each(|onset| onset.bass));
    add(0, ACCENT_NOTES, each(|onset| onset.notes));
    add(1, NEW_CRASH, each(|onset| onset.crash));
    add(1, NEW_BASS, each(|onset| onset.bass_moves));
    add(1, NEW_LENGTH, each(|onset| onset.length));
    for change in harmony {
        add(1, NEW_HARMONY, change);
    }
    features
}

/// How much kick and snare alternate from beat to beat, 0 to 1. Both must: a kick drum on every second beat is also one on
/// every beat at half of the tempo.
fn alternation(onsets: &Onsets, at: &[Onset]) -> f64 {
    // How much more there is on odd beats than on even ones.
    let odd = |drum: fn(&Onset) -> f64| {
        let all: f64 = onsets.list.iter().map(drum).sum();
        let odd: f64 = at.iter().skip(1).step_by(2).map(drum).sum();
        (2.0 * odd - at.iter().map(drum).sum::<f64>()) / (all + 1.0)
    };
    (-odd(|onset| onset.kick) * odd(|onset| onset.snare)).max(0.0).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The pitch classes that sound in each beat: the square roots of their lengths in seconds, so that a long note does not
/// outweigh a chord.
fn pitch_classes(onsets: &Onsets, beats: &[f64]) -> Vec<[f64; 12]> {
    let count = beats.len();
    let mut sounding = vec![[0.0f64; 12]; count];
    // When each beat but the first begins: a note that is an eighth of a beat early belongs to the beat.
    let begins: Vec<f64> = beats.windows(2).map(|w| w[1] - (w[1] - w[0]) / 8.0).collect();
    let ends: Vec<f64> = beats.iter().skip(1).copied().chain([f64::INFINITY]).collect();
    let mut first = 0;
    for &(start, end, class) in &onsets.melodic {
        while begins.get(first).is_some_and(|&next| next <= start) {
            first += 1;
        }
        let class = usize::from(class);
        // A beat that begins after the note gets nothing. Plain comparisons: the times are never NaN, and `f64::min` is
        // slower.
        let sounds = |beat: usize, from: f64| {
            let to = if end < ends[beat] { end } else { ends[beat] };
            if to > from { to - from } else { 0.0 }
        };
        // The tenth of a second is for staccato.
        sounding[first][class] += sounds(first, start) + 0.1;
        // After two bars, a long note no longer counts.
        for beat in first + 1..(first + 8).min(count) {
            // No branch for the next beat: it would be unpredictable.
            if beat > first + 1 && beats[beat] >= end {
                break;
            }
            sounding[beat][class] += sounds(beat, beats[beat]);
        }
    }
    for beat in &mut sounding {
        for class in beat.iter_mut() {
            *class = class.sqrt();
        }
    }
    sounding
}

/// How much the harmony changes at each beat: how different the pitch classes of the next `width` beats are from those of the
/// `width` before, 0 to 1.
fn harmony_changes(sounding: &[[f64; 12]], width: usize) -> Vec<f64> {
    let count = sounding.len();
    let add = |sum: &mut [f64; 12], beat: usize, sign: f64| {
        if let Some(classes) = sounding.get(beat) {
            for (a, b) in sum.iter_mut().zip(classes) {
                *a += sign * b;
            }
        }
    };
    let (mut before, mut after) = ([0.0; 12], [0.0; 12]);
    (0..width).for_each(|beat| add(&mut after, beat, 1.0));
    (0..count)
        .map(|beat| {
            let norm = (dot(&before, &before) * dot(&after, &after)).sqrt();
            let change = if norm > 1e-9 {
                1.0 - dot(&before, &after) / norm
            } else {
                0.0
            };
            add(&mut before, beat, 1.0);
            if beat >= width {
                add(&mut before, beat - width, -1.0);
            }
            add(&mut after, beat, -1.0);
            add(&mut after, beat + width, 1.0);
            change
        })
        .collect()
}
