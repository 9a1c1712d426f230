//! Notes → onsets: when something begins, and what a listener hears there.
//!
//! Notes that begin within [`TOGETHER`] are one onset: the notes of a chord, or a kick drum and the bass.

use crate::{
    instruments::{Sound, Voice},
    score::Score,
};

/// Notes closer than this, in seconds, are heard as one onset; the sixteenths of 200 BPM are 75 ms apart.
pub const TOGETHER: f64 = 0.03;

/// The longest length that counts, in seconds: a longer note is no heavier.
const LONGEST: f64 = 2.0;

/// A note at or below this pitch (G3) can be the bass of its onset.
const BASS: u8 = 55;

/// An onset: one or more notes that begin together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Onset {
    /// When, in seconds: the mean of its notes, the loud ones first.
    pub seconds: f64,
    /// How much it weighs for the pulse: the square root of the loudness of all notes, so that ten notes do not weigh ten
    /// times as much as one.
    pub weight: f64,
    /// The loudness of its bass drums, 0 to 1.
    pub kick: f64,
    /// The same of its snare drums.
    pub snare: f64,
    /// The same of its crash cymbals.
    pub crash: f64,
    /// How low its lowest melodic note is: 0 at G3 and above, 1 two octaves lower.
    pub bass: f64,
    /// 1 if the bass has another pitch than the bass before.
    pub bass_moves: f64,
    /// The length of its longest melodic note, in seconds.
    pub length: f64,
    /// How many melodic notes it has.
    pub notes: f64,
}

/// The input of the inference of beats.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Onsets {
    /// The onsets, in order.
    pub list: Vec<Onset>,
    /// The melodic notes, in the order of their onsets: start, end, pitch class.
    pub melodic: Vec<(f64, f64, u8)>,
    /// Whether there are enough snare drums for a backbeat.
    pub has_snare: bool,
    /// Whether there are bass notes.
    pub has_bass: bool,
    /// Whether there are drums.
    pub has_drums: bool,
}

#[derive(Clone, Copy)]
struct Struck {
    start: f64,
    end: f64,
    pitch: u8,
    velocity: u8,
    drums: bool,
}

impl Struck {
    /// 0 to 1.
    fn loudness(&self) -> f64 {
        f64::from(self.velocity) / 127.0
    }
}

impl Onsets {
    /// The onsets of a score with these voices.
    pub fn new(score: &Score, voices: &[Voice]) -> Self {
        let mut notes = Vec::with_capacity(score.note_count());
        for (instrument, voice) in score.instruments.iter().zip(voices) {
            let drums = voice.sound == Sound::Drums;
            notes.extend(instrument.notes.iter().map(|note| Struck {
                start: note.start,
                end: note.end,
                pitch: note.pitch,
                velocity: note.velocity,
                drums,
            }));
        }
        // Stable, and by time alone: the notes of each instrument are in order already, so this merges sorted runs.
        notes.sort_by(|a, b| a.start.total_cmp(&b.start));

        let mut list = Vec::new();
        let mut last_bass = None;
        let mut snares = 0;
        let mut rest = notes.as_slice();
        while let Some(first) = rest.first() {
            let count = rest
                .iter()
                .take_while(|note| note.start - first.start <= TOGETHER)
                .count();
            let (together, after) = rest.split_at(count);
            rest = after;
            let onset = onset(together, &mut last_bass);
            snares += usize::from(onset.snare > 0.0);
            list.push(onset);
        }
        let seconds = list.last().map_or(0.0, |last| last.seconds) - list.first().map_or(0.0, |first| first.seconds);
        Self {
            has_bass: list.iter().filter(|onset| onset.bass > 0.0).count() * 20 > list.len(),
            has_drums: list.iter().filter(|onset| onset.kick.max(onset.snare) > 0.0).count() * 20 > list.len(),
            // A backbeat has a snare every second at the slowest, in a half of the song.
            has_snare: snares >= 16 && snares as f64 > seconds / 6.0,
            melodic: notes
                .iter()
                .filter(|note| !note.drums)
                .map(|note| (note.start, note.end, note.pitch % 12))
                .collect(),
            list,
        }
    }
}

fn onset(together: &[Struck], last_bass: &mut Option<u8>) -> Onset {
    let loudness: f64 = together.iter().map(Struck::loudness).sum();
    let mut onset = Onset {
        seconds: together.iter().map(|note| note.start * note.loudness()).sum::<f64>() / loudness,
        weight: loudness.sqrt(),
        ..Onset::default()
    };
    let mut lowest = u8::MAX;
    for note in together {
        if note.drums {
            let kind = match note.pitch {
                35 | 36 => &mut onset.kick,
                37..=40 => &mut onset.snare,
                49 | 52 | 55 | 57 => &mut onset.crash,
                _ => continue,
            };
            *kind = kind.max(note.loudness());
        } else {
            onset.notes += 1.0;
            onset.length = onset.length.max((note.end - note.start).min(LONGEST));
            lowest = lowest.min(note.pitch);
        }
    }
    if lowest < BASS {
        onset.bass = (f64::from(BASS - lowest) / 24.0).min(1.0);
        onset.bass_moves = f64::from(u8::from(last_bass.replace(lowest) != Some(lowest)));
    }
    onset
}
