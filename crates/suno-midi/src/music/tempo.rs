//! The tempo and the bars of a song's files, in seconds and beats.

use super::grid::Grid;
use crate::{
    instruments::Voice,
    options::{Downbeat, Meter, RenderOptions, TempoChoice},
    rhythm::{self, BeatConfidence, BeatTrack, MIN_CONFIDENCE, Onsets},
    score::Score,
};

/// The length of a beat at 120 BPM, in microseconds: the tempo of a MIDI file that names none.
const DEFAULT_QUARTER: u32 = 500_000;

/// The tempo and the bars of a song's files, and where they come from.
///
/// The first downbeat of a song is rarely at the beginning of its audio. The time before it becomes a bar of its own, so
/// that the bar lines of the file are where the bars of the song are. The times of notes do not change.
#[derive(Debug, Clone, PartialEq)]
pub struct Tempo {
    /// The beats and bars.
    pub grid: Grid,
    /// The first downbeat, in eighths from the beginning of the grid.
    first_bar: u32,
    /// The length of a quarter, in microseconds: of the beat of middle length, if it changes.
    quarter: u32,
    /// The metre of most bars.
    pub meter: Meter,
    /// Where between two beats the off-beat falls, if the beats are swung: 0.5 would be straight.
    pub swing: Option<f64>,
    /// How sure the inference is; `None` if no tempo was looked for or found.
    pub confidence: Option<BeatConfidence>,
    /// Whether this is the inferred tempo.
    pub inferred: bool,
}

impl Default for Tempo {
    /// 120 BPM, bars from the beginning of the audio.
    fn default() -> Self {
        Self::one(DEFAULT_QUARTER, 0.0, Meter::COMMON)
    }
}

impl Tempo {
    /// The tempo of a score with these voices.
    pub fn choose(score: &Score, voices: &[Voice], options: &RenderOptions) -> Self {
        let tempo = options.tempo.unwrap_or_default();
        let meter = options.meter.unwrap_or(Meter::COMMON);
        let downbeat = options.downbeat.map(Downbeat::seconds);
        let plain = |quarter, inferred| Self::one(quarter, downbeat.unwrap_or(inferred), meter);
        match tempo {
            TempoChoice::Off => plain(DEFAULT_QUARTER, 0.0),
            TempoChoice::Bpm(bpm) => {
                let quarter = micros(60.0 / bpm);
                let beat = f64::from(quarter) / 1e6 * meter.quarters();
                let inferred = || rhythm::downbeat_at(&Onsets::new(score, voices), beat, meter);
                Self::one(quarter, downbeat.unwrap_or_else(inferred), meter)
            }
            TempoChoice::Auto | TempoChoice::Near(_) => {
                let track = rhythm::infer(&Onsets::new(score, voices), options);
                // If the user gave a tempo or `--steady`, use the result even at low confidence.
                let requested = options.steady == Some(true) || tempo != TempoChoice::Auto;
                match track {
                    Some(track) if requested || track.confidence.beats >= MIN_CONFIDENCE => Self::of(&track),
                    track => Self {
                        confidence: track.map(|track| track.confidence),
                        ..plain(DEFAULT_QUARTER, 0.0)
                    },
                }
            }
        }
    }

    fn of(track: &BeatTrack) -> Self {
        let (grid, first_bar) = lay(track);
        let mut gaps: Vec<f64> = track.beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_by(f64::total_cmp);
        let beat = track.period.unwrap_or(gaps[gaps.len() / 2]);
        Self {
            grid,
            first_bar,
            quarter: quarter_of(beat, track.bars.meter),
            meter: track.bars.meter,
            swing: track.swing,
            confidence: Some(track.confidence),
            inferred: true,
        }
    }

    /// One tempo, with bars from this downbeat on, and a lead-in before it.
    fn one(quarter: u32, downbeat: f64, meter: Meter) -> Self {
        let mut grid = Grid::steady(quarter, meter);
        let mut first_bar = 0;
        let beat = f64::from(quarter) / 1e6 * meter.quarters();
        if let Some((beats, lead_beat)) = lead_in(downbeat, beat, meter.beats) {
            first_bar = meter.eighths() * u32::from(beats);
            grid = Grid::steady(quarter_of(lead_beat, meter), meter.with_beats(beats));
            grid.change_tempo(first_bar, quarter);
            grid.change_meter(first_bar, meter);
        }
        Self {
            grid,
            first_bar,
            quarter,
            meter,
            swing: None,
            confidence: None,
            inferred: false,
        }
    }

    /// Quarter notes per minute: of the beat of middle length, if the tempo changes.
    pub fn bpm(&self) -> f64 {
        60e6 / f64::from(self.quarter)
    }

    /// The first downbeat, in seconds from the beginning of the audio.
    pub fn downbeat(&self) -> f64 {
        self.grid.seconds_at(self.first_bar)
    }
}

/// A beat of the file is at most this far from its beat of the track, in seconds. The promise is 10 ms.
const TOLERANCE: f64 = 0.008;

/// What begins earlier than this, in seconds, begins with the audio: half a tick at 60 BPM.
const BEGINNING: f64 = 0.001;

/// The shortest beat before the song, in seconds: many DAWs take no tempo above 999 BPM.
const SHORTEST_BEAT: f64 = 0.0601;

/// The grid of a beat track, and its first downbeat in eighths from the beginning.
///
/// The beats before the first onset are spread over the time from the beginning of the audio. From there on one tempo goes
/// as far as it keeps within [`TOLERANCE`] of each beat.
fn lay(track: &BeatTrack) -> (Grid, u32) {
    let beats = &track.beats;
    let meter = track.bars.meter;
    let gap = track.period.unwrap_or(beats[1] - beats[0]);
    // The first beat that stays where it is: at the beginning, or with room for a beat before it.
    // One that is nearer to the beginning, by a few hundredths of a second, begins with the audio.
    let first = beats
        .iter()
        .position(|&beat| beat.abs() < BEGINNING || beat >= SHORTEST_BEAT)
        .map_or(0, |first| first.min(beats.len() - 2));
    let lead = beats[first].max(0.0);
    let lead_beats = if lead < BEGINNING {
        0
    } else {
        (lead / gap).round().max(1.0) as u32
    };

    let mut grid = Grid::steady(quarter_of(gap, meter), meter);
    if lead_beats > 0 {
        grid.change_tempo(0, quarter_of(lead / f64::from(lead_beats), meter));
    }
    let begin = lead_beats * meter.eighths();
    match track.period {
        Some(period) => grid.change_tempo(begin, quarter_of(period, meter)),
        None => lay_tempi(&mut grid, begin, &beats[first..], meter),
    }
    let first_bar = lay_bars(&mut grid, begin, &track.bars.positions[first..], meter);
    (grid, first_bar)
}

/// Lays a tempo for as many beats as it keeps within [`TOLERANCE`] of, then the next.
fn lay_tempi(grid: &mut Grid, begin: u32, beats: &[f64], meter: Meter) {
    let (mut at, mut index) = (begin, 0);
    while index + 1 < beats.len() {
        let start = grid.seconds_at(at);
        let (mut shortest, mut longest, mut reach) = (0.0f64, f64::MAX, index + 1);
        for (next, &time) in beats.iter().enumerate().skip(index + 1) {
            let count = (next - index) as f64;
            let from = shortest.max((time - TOLERANCE - start) / count);
            let to = longest.min((time + TOLERANCE - start) / count);
            if from > to {
                break;
            }
            (shortest, longest, reach) = (from, to, next);
        }
        grid.change_tempo(at, quarter_of((shortest + longest) / 2.0, meter));
        at += (reach - index) as u32 * meter.eighths();
        index = reach;
    }
}

/// Lays the bars: a short one for a pick-up, then as the places of the beats have them. Returns where the first full bar
/// begins, in eighths.
fn lay_bars(grid: &mut Grid, begin: u32, places: &[u8], meter: Meter) -> u32 {
    let (width, eighths) = (u32::from(meter.beats), meter.eighths());
    // The beats of the lead-in count back from the first beat.
    let place = (u32::from(places[0]) + width - begin / eighths % width) % width;
    let mut first_bar = 0;
    if place > 0 {
        grid.change_meter(0, meter.with_beats((width - place) as u8));
        first_bar = (width - place) * eighths;
        grid.change_meter(first_bar, meter);
    }
    let mut bars = places
        .iter()
        .enumerate()
        .filter(|(_, place)| **place == 0)
        .map(|(index, _)| begin + index as u32 * eighths)
        .filter(|&at| at >= first_bar)
        .peekable();
    while let Some(at) = bars.next() {
        let length = bars.peek().map_or(width, |next| (next - at) / eighths);
        grid.change_meter(at, meter.with_beats(length as u8));
    }
    first_bar
}

/// The length of a quarter, in microseconds, if a beat has this many seconds.
fn quarter_of(beat: f64, meter: Meter) -> u32 {
    micros(beat / meter.quarters())
}

/// The length that a MIDI file can hold, in microseconds.
fn micros(seconds: f64) -> u32 {
    (seconds * 1e6).round() as u32
}

/// The lead-in that ends at the downbeat, at about the song's tempo: its beats, `width` at most, and their length in seconds.
/// Where that would make a beat shorter than half of the song's, it ends a bar later. A downbeat that is further away than a
/// bar counts back to the first bar.
fn lead_in(downbeat: f64, beat: f64, width: u8) -> Option<(u8, f64)> {
    let bar = f64::from(width) * beat;
    let downbeat = if downbeat > bar { downbeat % bar } else { downbeat };
    if downbeat < BEGINNING {
        return None;
    }
    let downbeat = if downbeat < beat / 2.0 {
        downbeat + bar
    } else {
        downbeat
    };
    let beats = (downbeat / beat).round().clamp(1.0, f64::from(width));
    Some((beats as u8, downbeat / beats))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_in_ends_at_the_downbeat_at_about_the_songs_tempo() {
        for beat in [0.3, 0.5, 1.0] {
            for hundredth in 1..400 {
                let downbeat = f64::from(hundredth) / 100.0 * beat;
                let (beats, lead_beat) = lead_in(downbeat, beat, 4).unwrap();
                let bars_after = (lead_beat * f64::from(beats) - downbeat) / (4.0 * beat);
                assert!((bars_after - bars_after.round()).abs() < 1e-5, "{downbeat}");
                let ratio = lead_beat / beat;
                assert!((0.5..=1.5).contains(&ratio) && (1..=4).contains(&beats), "{ratio}");
            }
        }
        assert_eq!(lead_in(0.0, 0.5, 4), None);
        assert_eq!(lead_in(0.000_9, 0.5, 4), None);
    }

    #[test]
    fn beats_are_whole_microseconds() {
        let tempo = Tempo::choose(
            &Score::of(&[("Kick", &[(36.0, 1.0, 1.1)])]),
            &[Voice::of("Kick")],
            &RenderOptions {
                tempo: Some(TempoChoice::Bpm(98.0)),
                ..RenderOptions::default()
            },
        );
        assert_eq!(tempo.bpm(), 60e6 / 612_245.0);
        assert_eq!(tempo.grid.tempi()[1].quarter, 612_245);
        assert_eq!(tempo.downbeat(), tempo.grid.tempi()[1].seconds());
    }
}
