//! Where onsets fall between beats: whether there are beats at all, and whether they are divided by two, by three, or swung.

use super::{onsets::Onset, spectrum::Complex};

/// How far from its place an onset may be, as a share of a beat.
const NEAR: f64 = 0.04;
/// Between these shares of a beat a note is an off-beat, swung or not.
const OFF_BEATS: std::ops::Range<f64> = 0.42..0.74;
/// From this share of the weight on, a position counts as played often.
const OFTEN: f64 = 0.1;
/// Off-beats later than this are swung; played straight, their mean is within 0.49 to 0.52.
const SWUNG: f64 = 0.56;
/// The mean vector at which the confidence in a beat is 0, and at which it is 1. Songs without a beat have at most 0.22.
const BEAT: [f64; 2] = [0.18, 0.3];

/// How the onsets lie between the beats of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Subdivision {
    /// The length of the mean vector of all onsets at 2, 3 and 4 turns to the beat.
    turns: [f64; 3],
    /// The share of the weight around a third, a half, and two thirds of the way.
    third: f64,
    half: f64,
    two_thirds: f64,
    /// Around a quarter and three quarters.
    quarter: f64,
    /// Around a sixth and five sixths.
    sixth: f64,
    /// The share of the off-beats, and their mean place.
    off_beats: f64,
    off_beat: f64,
}

impl Subdivision {
    /// The division of these beats, at least two, by these onsets.
    pub fn new(onsets: &[Onset], beats: &[f64]) -> Self {
        let mut sums = [Complex::default(); 3];
        let mut total = 0.0;
        let (mut third, mut half, mut two_thirds, mut quarter, mut sixth) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let (mut off, mut off_weight) = (0.0, 0.0);
        let mut beat = 0;
        for onset in onsets {
            while beat + 2 < beats.len() && onset.seconds >= beats[beat + 1] {
                beat += 1;
            }
            let phase = (onset.seconds - beats[beat]) / (beats[beat + 1] - beats[beat]);
            let w = onset.weight;
            for (times, sum) in (2u8..).zip(&mut sums) {
                *sum = sum.plus(Complex::turn(phase * f64::from(times)).times(w));
            }
            total += w;
            let near = |place: f64| if (phase - place).abs() < NEAR { w } else { 0.0 };
            third += near(1.0 / 3.0);
            half += near(0.5);
            two_thirds += near(2.0 / 3.0);
            quarter += near(0.25) + near(0.75);
            sixth += near(1.0 / 6.0) + near(5.0 / 6.0);
            if OFF_BEATS.contains(&phase) {
                off += w * phase;
                off_weight += w;
            }
        }
        Self {
            turns: sums.map(|sum| sum.length() / total),
            third: third / total,
            half: half / total,
            two_thirds: two_thirds / total,
            quarter: quarter / total,
            sixth: sixth / total,
            off_beats: off_weight / total,
            off_beat: if off_weight > 0.0 { off / off_weight } else { 0.5 },
        }
    }

    /// Whether beats are divided by three throughout, as in 12/8: both thirds are played, and hardly a half, a quarter or
    /// the sixteenth of a swung eighth.
    pub fn ternary(&self) -> bool {
        let others = self.half + self.quarter + self.sixth;
        self.third > OFTEN && self.two_thirds > OFTEN && self.third + self.two_thirds > 4.0 * others
    }

    /// The place of the swung off-beats, 0.56 to 0.74, if they are swung: hardly any is half-way, and they are not just
    /// sixteenths.
    pub fn swing(&self) -> Option<f64> {
        let swung = self.off_beats > OFTEN
            && self.off_beat > SWUNG
            && self.off_beats > 4.0 * self.half
            && self.off_beats > self.quarter;
        (swung && !self.ternary()).then_some(self.off_beat)
    }

    /// The confidence that there is a beat at all, 0 to 1: onsets keep to parts of a beat.
    pub fn presence(&self) -> f64 {
        let most = self.turns.iter().copied().fold(0.0, f64::max);
        ((most - BEAT[0]) / (BEAT[1] - BEAT[0])).clamp(0.0, 1.0)
    }
}
