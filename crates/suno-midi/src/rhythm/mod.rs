//! Onsets → beats and bars.
//!
//! 1. Candidates. If an even grid (`even_grid`) holds through the whole song, its lines are the beats; otherwise
//!    `tracker` follows them. Either gives beats of several lengths (octaves) and phases.
//! 2. The choice. Each [`Candidate`] is scored by what listeners go by. The distance to the others gives the confidence.

mod bars;
mod candidate;
mod even_grid;
mod features;
mod onsets;
mod spectrum;
mod swing;
mod tracker;

use crate::options::{Meter, RenderOptions, TempoChoice};
use candidate::{Division, mean_gap, usual_bpm};
use even_grid::{EvenGrid, best_phase, even_beats};
use spectrum::Spectrum;
use swing::Subdivision;

pub use bars::Bars;
pub use candidate::{Candidate, WEIGHTS};
pub use onsets::Onsets;

/// The slowest and the fastest tempo that we look for, in BPM.
const SLOWEST: f64 = 40.0;
const FASTEST: f64 = 220.0;

/// Below this confidence a file stays at 120 BPM.
pub const MIN_CONFIDENCE: f64 = 0.3;

/// With fewer onsets, some grid always fits by chance.
const MIN_ONSETS: usize = 16;

/// The longest score, in seconds. The provider's longest song has 8 minutes.
const MAX_SECONDS: f64 = 1200.0;

/// With fewer beats there is nothing to choose from.
const MIN_BEATS: usize = 8;

/// Onsets within this fraction of a beat count as on the beat.
const ON_BEAT: f64 = 0.1;

/// Softmax temperature of the candidates' scores; higher for a melody alone, which is ambiguous.
const DOUBT: f64 = 1.0;
const DOUBT_ALONE: f64 = 7.0;
/// With fewer onsets than this, doubt grows with the inverse root of their number.
const MANY_ONSETS: f64 = 300.0;

/// From these margins on, the downbeat and the metre have the confidence 1.
const SURE_DOWNBEAT: f64 = 1.0;
const SURE_METER: f64 = 0.5;

/// The beats and bars of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct BeatTrack {
    /// The times of the beats, in seconds, from at or before the first onset to after the last.
    pub beats: Vec<f64>,
    /// Which beat of a bar each is.
    pub bars: Bars,
    /// The length of a beat, if it is the same everywhere.
    pub period: Option<f64>,
    /// Where between two beats the off-beat falls, if it is swung: 0.5 would be straight.
    pub swing: Option<f64>,
    /// How sure the beats, the downbeats and the metre are.
    pub confidence: BeatConfidence,
}

/// How sure the inference is, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeatConfidence {
    /// That the beats are right, at any octave.
    pub beats: f64,
    /// That bars begin where they do.
    pub downbeat: f64,
    /// That the metre is right.
    pub meter: f64,
}

/// The beats and bars that fit the onsets and the options best, even if they fit badly; `None` if there are too few onsets
/// or the score is too long.
pub fn infer(onsets: &Onsets, options: &RenderOptions) -> Option<BeatTrack> {
    let candidates = candidates(onsets, options);
    let best = candidates.iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
    let octaves = || candidates.iter().filter(|candidate| candidate.is_octave_of(best));
    let doubt = doubt(onsets);
    let odds = |candidate: &Candidate| ((candidate.score - best.score) / doubt).exp();
    let certainty = octaves().map(odds).sum::<f64>() / candidates.iter().map(odds).sum::<f64>();
    let chosen = match options.tempo {
        Some(TempoChoice::Near(bpm)) => {
            let away = |candidate: &Candidate| (60.0 / mean_gap(&candidate.beats) / bpm).log2().abs();
            // Of the same tempo, the better one.
            let octave = |candidate: &Candidate| (4.0 * away(candidate)).round();
            octaves().min_by(|a, b| octave(a).total_cmp(&octave(b)).then(b.score.total_cmp(&a.score)))?
        }
        _ => best,
    };
    let mut track = BeatTrack::new(chosen, onsets, options.meter, certainty);
    if let Some(downbeat) = options.downbeat {
        track.begin_bar_at(downbeat.seconds());
    }
    Some(track)
}

/// All candidates for the beats of the song; none if there are too few onsets or the score is too long.
pub fn candidates(onsets: &Onsets, options: &RenderOptions) -> Vec<Candidate> {
    let list = &onsets.list;
    let (Some(first), Some(last)) = (list.first(), list.last()) else {
        return Vec::new();
    };
    if list.len() < MIN_ONSETS || last.seconds - first.seconds > MAX_SECONDS {
        return Vec::new();
    }
    let spectrum = Spectrum::new(list);
    let (grid, rival) = EvenGrid::best(list, &spectrum);
    if options.steady == Some(true) || grid.holds(list) {
        let even = |grid| even_candidates(onsets, grid, options.meter);
        even(grid).into_iter().chain(rival.into_iter().flat_map(even)).collect()
    } else {
        tracked_candidates(onsets, spectrum, options.meter)
    }
}

fn doubt(onsets: &Onsets) -> f64 {
    let doubt = if onsets.has_bass || onsets.has_drums {
        DOUBT
    } else {
        DOUBT_ALONE
    };
    doubt * (MANY_ONSETS / onsets.list.len() as f64).sqrt().max(1.0)
}

/// The first downbeat of a score, in seconds, if the length of its beat is known to be `period` seconds.
pub fn downbeat_at(onsets: &Onsets, period: f64, meter: Meter) -> f64 {
    if onsets.list.is_empty() {
        return 0.0;
    }
    let sixteenth = period / 4.0;
    let phase = best_phase(&onsets.list, sixteenth);
    (0..4)
        .map(|shift| even_beats(&onsets.list, period, phase + f64::from(shift) * sixteenth))
        .map(|beats| Candidate::new(onsets, beats, Some(period), Division::Binary, Some(meter)))
        .max_by(|a, b| a.score.total_cmp(&b.score))
        .map_or(0.0, |best| {
            let first = best
                .bars
                .positions
                .iter()
                .position(|&position| position == 0)
                .unwrap_or(0);
            best.beats[first].rem_euclid(f64::from(meter.beats) * period)
        })
}

fn is_tempo(bpm: f64) -> bool {
    (SLOWEST..=FASTEST).contains(&bpm)
}

/// Beats of an even grid: 2, 3, 4, 6 and 8 of its units long, at each phase.
fn even_candidates(onsets: &Onsets, grid: EvenGrid, meter: Option<Meter>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for units in [2u32, 3, 4, 6, 8] {
        let period = grid.unit * f64::from(units);
        if !is_tempo(60.0 / period) {
            continue;
        }
        let division = if units.is_multiple_of(3) {
            Division::Ternary
        } else {
            Division::Binary
        };
        candidates.extend((0..units).map(|shift| {
            let beats = even_beats(&onsets.list, period, grid.phase + f64::from(shift) * grid.unit);
            Candidate::new(onsets, beats, Some(period), division, meter)
        }));
    }
    candidates
}

/// Beats that follow the onsets at each of the usual lengths, and their octaves.
fn tracked_candidates(onsets: &Onsets, spectrum: Spectrum, meter: Option<Meter>) -> Vec<Candidate> {
    let usual = tracker::usual_beats(spectrum, 60.0 / usual_bpm(onsets));
    tracker::follow(&onsets.list, &usual)
        .into_iter()
        .filter(|pulses| pulses.len() >= MIN_BEATS)
        .flat_map(|pulses| octaves(&pulses))
        .filter(|beats| is_tempo(60.0 / mean_gap(beats)))
        .map(|beats| Candidate::new(onsets, beats, None, Division::Binary, meter))
        .collect()
}

/// The pulses themselves, every second of them, and twice as many; each also between.
fn octaves(pulses: &[f64]) -> Vec<Vec<f64>> {
    let half_way = |list: &[f64]| -> Vec<f64> { list.windows(2).map(|w| (w[0] + w[1]) / 2.0).collect() };
    let every_second = |list: &[f64], skip: usize| -> Vec<f64> { list.iter().skip(skip).step_by(2).copied().collect() };
    let between = half_way(pulses);
    let mut double: Vec<f64> = pulses.iter().zip(&between).flat_map(|(a, b)| [*a, *b]).collect();
    double.extend(pulses.last());
    let quarters = half_way(&double);
    vec![
        every_second(pulses, 0),
        every_second(pulses, 1),
        every_second(&between, 0),
        every_second(&between, 1),
        pulses.to_vec(),
        between,
        every_second(&quarters, 0),
        every_second(&quarters, 1),
        double,
    ]
}

impl BeatTrack {
    /// The beats of a candidate. If no metre is chosen, a beat that is divided by three has a compound metre.
    fn new(chosen: &Candidate, onsets: &Onsets, meter: Option<Meter>, certainty: f64) -> Self {
        let mut beats = chosen.beats.clone();
        let mut period = chosen.period;
        if let Some(unit) = &mut period {
            // The grid of a swung song lies between beats and off-beats. Only the onsets on the beats locate them.
            let phase = beats[0];
            let grid = EvenGrid { unit: *unit, phase }.refined(&onsets.list, ON_BEAT);
            beats = (0..beats.len())
                .map(|index| grid.phase + index as f64 * grid.unit)
                .collect();
            *unit = grid.unit;
        }
        let subdivision = Subdivision::new(&onsets.list, &beats);
        let bars = if meter.is_none() && subdivision.ternary() {
            chosen.features.best_bars(Meter::compound(2), Meter::compound(4))
        } else {
            chosen.bars.clone()
        };
        let rival = match bars.meter.beats {
            4 => chosen.features.bars(Meter::simple(3)),
            _ => chosen.features.bars(Meter::COMMON),
        };
        Self {
            confidence: BeatConfidence {
                beats: certainty * subdivision.presence(),
                downbeat: (bars.margin / SURE_DOWNBEAT).clamp(0.0, 1.0),
                meter: ((bars.score - rival.score) / SURE_METER).clamp(0.0, 1.0),
            },
            swing: subdivision.swing(),
            beats,
            bars,
            period,
        }
    }

    /// Moves the bars so that one begins here, in seconds, and all have the same length.
    fn begin_bar_at(&mut self, seconds: f64) {
        let away = |index: &usize| (self.beats[*index] - seconds).abs();
        let after = self.beats.partition_point(|&beat| beat < seconds);
        let nearest = [after.saturating_sub(1), after.min(self.beats.len() - 1)]
            .into_iter()
            .min_by(|a, b| away(a).total_cmp(&away(b)))
            .unwrap_or(0);
        let away = seconds - self.beats[nearest];
        let gap = mean_gap(&self.beats);
        // An even grid moves as a whole. In a track only this beat moves, and stays between its neighbours.
        if self.period.is_some() {
            let away = away - (away / gap).round() * gap;
            self.beats.iter_mut().for_each(|beat| *beat += away);
        } else {
            self.beats[nearest] += away.clamp(-gap / 3.0, gap / 3.0);
        }
        let width = usize::from(self.bars.meter.beats);
        for (index, position) in self.bars.positions.iter_mut().enumerate() {
            *position = ((index + width - nearest % width) % width) as u8;
        }
        self.confidence.downbeat = 1.0;
    }
}
