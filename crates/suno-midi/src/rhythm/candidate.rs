//! Candidates for the beats of a song, and their scores.
//!
//! The score is a weighted sum of what listeners go by: how likely the tempo is, whether kick and snare alternate, whether bass,
//! drums, long notes and new harmonies fall on the beats rather than between them, and how well bars fit.

use super::{bars::Bars, features::BeatFeatures, onsets::Onsets};
use crate::options::Meter;

/// The tempo that people perceive most often, in BPM. A snare drum plays the backbeat of it. Slow piano pop, without one,
/// has its eighths and sixteenths between the beats.
const MOST_WITH_SNARE: f64 = 112.0;
const MOST_WITHOUT_SNARE: f64 = 81.0;
/// The features of a candidate and their weights. docs/music.md says how the weights were chosen.
pub const WEIGHTS: [(&str, f64); 13] = [
    // The square of the octaves from the usual tempo: half an octave costs 1.4.
    ("tempo", -5.6),
    // Divided by three: rarer than by two or four, as much as a tempo 0.8 octaves from the usual one.
    ("ternary", -3.5),
    // A beat has one or two onsets: the square of the octaves from one.
    ("density", -0.55),
    // Kick and snare alternate from beat to beat: at double or half of the tempo they do not.
    ("alternation", 4.0),
    // Bass notes and drums are on beats rather than half-way between them.
    ("bass half-way", 1.15),
    ("drums half-way", 2.5),
    // Bass, long notes and drums are on beats rather than a quarter of the way between them, more than onsets are in
    // general: where sixteenths are, they are light.
    ("bass quarters", 1.55),
    ("lengths quarters", 2.35),
    ("drums quarters", 2.5),
    ("onsets quarters", -3.35),
    // Harmonies change on beats rather than half-way between them: by a twentieth more, at the right beats.
    ("harmony", 41.0),
    // A melody alone has more onsets on beats than between them.
    ("melody alone", 4.0),
    // Bars fit.
    ("bars", 1.7),
];

/// Beats and their score.
pub struct Candidate {
    /// The value of each feature in [`WEIGHTS`].
    pub values: [f64; WEIGHTS.len()],
    /// The weighted sum of the values: the larger, the likelier.
    pub score: f64,
    /// The times of the beats, in seconds.
    pub beats: Vec<f64>,
    /// The bars that fit them best, with beats that are divided by two.
    pub bars: Bars,
    /// What a listener hears at the beats.
    pub(super) features: BeatFeatures,
    /// The length of a beat, if all have the same.
    pub period: Option<f64>,
}

/// Whether a beat of an even grid has three of its units, or a multiple of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// It has two, or a multiple of two.
    Binary,
    /// It has three, or a multiple of three.
    Ternary,
}

impl Candidate {
    /// These beats, at least two; with bars in this metre, or else in 4/4 or 3/4.
    pub fn new(
        onsets: &Onsets,
        beats: Vec<f64>,
        period: Option<f64>,
        division: Division,
        meter: Option<Meter>,
    ) -> Self {
        let features = BeatFeatures::new(onsets, &beats);
        let bars = match meter {
            Some(meter) => features.bars(meter),
            None => features.best_bars(Meter::simple(3), Meter::COMMON),
        };
        let tempo = (60.0 / mean_gap(&beats) / usual_bpm(onsets)).log2();
        let density = (onsets.list.len() as f64 / beats.len() as f64).log2();
        let [onsets2, bass2, _, drums2] = features.offbeat_contrast;
        let [onsets4, bass4, lengths4, drums4] = features.sixteenth_contrast;
        let (accompanied, alone) = if onsets.has_bass { (1.0, 0.0) } else { (0.0, 1.0) };
        let values = [
            tempo * tempo,
            f64::from(u8::from(division == Division::Ternary)),
            density * density,
            features.alternation,
            bass2,
            drums2,
            bass4,
            lengths4,
            drums4,
            accompanied * onsets4,
            accompanied * features.harmony,
            alone * (onsets2 + onsets4),
            bars.score,
        ];
        Self {
            score: values
                .iter()
                .zip(WEIGHTS)
                .map(|(value, (_, weight))| value * weight)
                .sum(),
            values,
            beats,
            bars,
            features,
            period,
        }
    }

    /// Whether each beat of the slower of both is one of the faster, and the faster has one, two, four … times as many.
    pub fn is_octave_of(&self, other: &Self) -> bool {
        let (slow, fast) = if self.beats.len() < other.beats.len() {
            (&self.beats, &other.beats)
        } else {
            (&other.beats, &self.beats)
        };
        let octaves = (mean_gap(slow) / mean_gap(fast)).log2();
        if (octaves - octaves.round()).abs() > 0.05 {
            return false;
        }
        let near = mean_gap(fast) / 8.0;
        let mut next = 0;
        let shared = slow
            .iter()
            .filter(|&&beat| {
                while next + 1 < fast.len() && fast[next] < beat - near {
                    next += 1;
                }
                (fast[next] - beat).abs() <= near
            })
            .count();
        shared * 10 >= slow.len() * 8
    }
}

/// The most likely tempo of a song with these onsets, in BPM.
pub fn usual_bpm(onsets: &Onsets) -> f64 {
    if onsets.has_snare {
        MOST_WITH_SNARE
    } else {
        MOST_WITHOUT_SNARE
    }
}

/// The mean distance of two beats, of at least two.
pub fn mean_gap(beats: &[f64]) -> f64 {
    (beats[beats.len() - 1] - beats[0]) / (beats.len() - 1) as f64
}
