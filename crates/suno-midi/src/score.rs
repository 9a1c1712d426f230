//! Notes as sent → notes that can be played.
//!
//! A [`Score`] holds only notes that MIDI can hold. Any other note is repaired ([`Repair`]) or left out ([`Skip`]).
//! Both are counted, so that the result document can report them.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

use crate::text;

/// The most instruments of a score: a MIDI port event can name 128 ports, and each port has 15 channels besides that of
/// the drums.
pub const MAX_INSTRUMENTS: usize = 128 * 15;

/// The longest note, in seconds. The provider's longest song has 8 minutes, so a longer note has a wrong end.
pub const MAX_NOTE_SECONDS: f64 = 600.0;

/// The latest onset, in seconds: 6 hours. Its tick fits in the 28 bits of a MIDI file at any tempo.
pub const MAX_START_SECONDS: f64 = 21_600.0;

/// The velocity of a note sent without one: what MIDI 1.0 specifies for instruments that have no velocity.
const DEFAULT_VELOCITY: u8 = 64;

/// The longest instrument name, in characters.
const MAX_NAME: usize = 120;

/// One instrument as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawPart {
    /// The instrument's name; empty if none was sent.
    pub name: String,
    /// Its notes, in the order in which they were sent.
    pub notes: Vec<RawNote>,
}

/// One note as it was sent. A member that is missing or not a number is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawNote {
    /// The MIDI note number; middle C is 60.
    pub pitch: f64,
    /// The onset, in seconds from the beginning of the audio.
    pub start: f64,
    /// The end, in seconds from the beginning of the audio.
    pub end: f64,
    /// The velocity, 0 to 1.
    pub velocity: f64,
}

impl RawNote {
    /// A note with every member missing.
    pub const EMPTY: Self = Self {
        pitch: f64::NAN,
        start: f64::NAN,
        end: f64::NAN,
        velocity: f64::NAN,
    };
}

/// The notes of a song.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Score {
    /// The instruments in the order in which they were sent, including those without notes. At most
    /// [`MAX_INSTRUMENTS`].
    pub instruments: Vec<Instrument>,
}

/// More instruments than [`MAX_INSTRUMENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} instruments are more than the {MAX_INSTRUMENTS} that a MIDI file can hold")]
pub struct TooManyInstruments(
    /// How many there are.
    pub usize,
);

/// One instrument and its notes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Instrument {
    /// The name as sent, on one line without control characters, at most 120 characters; may be empty.
    pub name: String,
    /// The playable notes in the order of their onsets, then their pitches.
    pub notes: Vec<Note>,
    /// How many notes were left out, by reason.
    pub skipped: BTreeMap<Skip, usize>,
    /// How many notes were changed to make them playable, by reason.
    pub repaired: BTreeMap<Repair, usize>,
}

/// A note that MIDI can hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    /// The MIDI note number, 0 to 127; middle C is 60.
    pub pitch: u8,
    /// The onset, in seconds from the beginning of the audio; at least 0.
    pub start: f64,
    /// The end, in seconds from the beginning of the audio; not before `start`.
    pub end: f64,
    /// The velocity of the note on, 1 to 127.
    pub velocity: u8,
}

/// Why a note is not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Skip {
    /// The pitch is missing or not a number.
    NoPitch,
    /// The pitch is not within 0 to 127.
    PitchOutOfRange,
    /// The start or the end is missing or not a finite number.
    NoTime,
    /// The note ends before the audio begins, or just when it begins.
    BeforeTheBeginning,
    /// The note begins after [`MAX_START_SECONDS`].
    TooLate,
}

/// What was changed to make a note playable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Repair {
    /// The pitch was fractional; it is rounded.
    PitchRounded,
    /// The note began before the audio; it begins at 0.
    StartMovedToZero,
    /// The end was before the start; they are swapped.
    TimesSwapped,
    /// The note was longer than [`MAX_NOTE_SECONDS`]; it has this length.
    EndCut,
    /// The note had no length; it gets one tick.
    ZeroLength,
    /// The velocity was missing or not a number; it is 64.
    VelocityMissing,
    /// The velocity was below 0 or above 1; it is 0 or 1.
    VelocityClamped,
}

impl Score {
    /// Makes a score of the notes that were sent.
    ///
    /// # Errors
    /// If there are too many instruments.
    pub fn new(parts: Vec<RawPart>) -> Result<Self, TooManyInstruments> {
        if parts.len() > MAX_INSTRUMENTS {
            return Err(TooManyInstruments(parts.len()));
        }
        Ok(Self {
            instruments: parts.into_iter().map(Instrument::new).collect(),
        })
    }

    /// How many notes the score has.
    pub fn note_count(&self) -> usize {
        self.instruments.iter().map(|instrument| instrument.notes.len()).sum()
    }

    /// The end of the last note, in seconds; 0 without notes.
    pub fn seconds(&self) -> f64 {
        self.notes().map(|note| note.end).fold(0.0, f64::max)
    }

    /// The notes of all instruments, one instrument after the other.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.instruments.iter().flat_map(|instrument| &instrument.notes)
    }
}

impl Instrument {
    fn new(part: RawPart) -> Self {
        let mut instrument = Self {
            name: text::plain(&part.name, MAX_NAME),
            ..Self::default()
        };
        let counted = |sent: RawNote| {
            let mut repairs = Vec::new();
            match playable(&sent, &mut repairs) {
                Ok(note) => {
                    for repair in repairs {
                        *instrument.repaired.entry(repair).or_default() += 1;
                    }
                    Some(note)
                }
                Err(skip) => {
                    *instrument.skipped.entry(skip).or_default() += 1;
                    None
                }
            }
        };
        // Reuses the allocation of the raw notes.
        instrument.notes = part.notes.into_iter().filter_map(counted).collect();
        // The order in which notes were sent means nothing: any order gives the same file. Nearly always the onsets are in
        // order already; then only the notes of each chord are sorted.
        instrument.notes.sort_by(|a, b| a.start.total_cmp(&b.start));
        for chord in instrument.notes.chunk_by_mut(|a, b| a.start == b.start) {
            chord.sort_by(|a, b| {
                a.pitch
                    .cmp(&b.pitch)
                    .then(a.end.total_cmp(&b.end))
                    .then(a.velocity.cmp(&b.velocity))
            });
        }
        instrument
    }
}

fn playable(sent: &RawNote, repairs: &mut Vec<Repair>) -> Result<Note, Skip> {
    let pitch = sent.pitch;
    if pitch.is_nan() {
        return Err(Skip::NoPitch);
    }
    let rounded = pitch.round();
    if !(0.0..=127.0).contains(&rounded) {
        return Err(Skip::PitchOutOfRange);
    }
    if rounded != pitch {
        repairs.push(Repair::PitchRounded);
    }

    let (mut start, mut end) = (sent.start, sent.end);
    if !start.is_finite() || !end.is_finite() {
        return Err(Skip::NoTime);
    }
    if end < start {
        (start, end) = (end, start);
        repairs.push(Repair::TimesSwapped);
    }
    if start > MAX_START_SECONDS {
        return Err(Skip::TooLate);
    }
    if start < 0.0 {
        if end <= 0.0 {
            return Err(Skip::BeforeTheBeginning);
        }
        start = 0.0;
        repairs.push(Repair::StartMovedToZero);
    }
    if end == start {
        repairs.push(Repair::ZeroLength);
    }
    if end - start > MAX_NOTE_SECONDS {
        end = start + MAX_NOTE_SECONDS;
        repairs.push(Repair::EndCut);
    }

    let velocity = if sent.velocity.is_nan() {
        repairs.push(Repair::VelocityMissing);
        DEFAULT_VELOCITY
    } else {
        let clamped = sent.velocity.clamp(0.0, 1.0);
        if clamped != sent.velocity {
            repairs.push(Repair::VelocityClamped);
        }
        // A note on of velocity 0 is a note off (MIDI 1.0), so the softest note has 1.
        ((clamped * 127.0).round() as u8).max(1)
    };
    // `+ 0.0` makes an onset of -0.0 an ordinary zero.
    Ok(Note {
        pitch: rounded as u8,
        start: start + 0.0,
        end,
        velocity,
    })
}

/// For tests: a name, and the pitch, start and end of each note.
#[cfg(test)]
pub(crate) type PartOf<'a> = (&'a str, &'a [(f64, f64, f64)]);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
impl Score {
    /// For tests: the name of each instrument, and the pitch, start and end of its notes.
    pub(crate) fn of(parts: &[PartOf<'_>]) -> Self {
        let note = |&(pitch, start, end): &(f64, f64, f64)| RawNote {
            pitch,
            start,
            end,
            velocity: 1.0,
        };
        let part = |(name, notes): &PartOf<'_>| RawPart {
            name: (*name).to_owned(),
            notes: notes.iter().map(note).collect(),
        };
        Self::new(parts.iter().map(part).collect()).unwrap()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sent(pitch: f64, start: f64, end: f64, velocity: f64) -> RawNote {
        RawNote {
            pitch,
            start,
            end,
            velocity,
        }
    }

    fn one(note: RawNote) -> Instrument {
        Instrument::new(RawPart {
            name: String::new(),
            notes: vec![note],
        })
    }

    #[test]
    fn a_good_note_is_kept_as_it_is() {
        let instrument = one(sent(60.0, 1.0, 2.0, 63.0 / 127.0));
        assert_eq!(
            instrument.notes,
            [Note {
                pitch: 60,
                start: 1.0,
                end: 2.0,
                velocity: 63
            }]
        );
        assert!(instrument.skipped.is_empty() && instrument.repaired.is_empty());
    }

    #[test]
    fn each_velocity_of_the_providers_grid_survives() {
        for k in 1..=127u8 {
            assert_eq!(one(sent(60.0, 0.0, 1.0, f64::from(k) / 127.0)).notes[0].velocity, k);
        }
        assert_eq!(one(sent(60.0, 0.0, 1.0, 0.0)).notes[0].velocity, 1);
    }

    #[test]
    fn notes_that_midi_cannot_hold_are_skipped_and_counted() {
        let nan = f64::NAN;
        for (note, skip) in [
            (RawNote::EMPTY, Skip::NoPitch),
            (sent(nan, 0.0, 1.0, 1.0), Skip::NoPitch),
            (sent(128.0, 0.0, 1.0, 1.0), Skip::PitchOutOfRange),
            (sent(-1.0, 0.0, 1.0, 1.0), Skip::PitchOutOfRange),
            (sent(f64::INFINITY, 0.0, 1.0, 1.0), Skip::PitchOutOfRange),
            (sent(1.0, nan, 1.0, 1.0), Skip::NoTime),
            (sent(1.0, 0.0, f64::INFINITY, 1.0), Skip::NoTime),
            (sent(1.0, -2.0, -1.0, 1.0), Skip::BeforeTheBeginning),
            (sent(1.0, 1e9, 2e9, 1.0), Skip::TooLate),
        ] {
            let instrument = one(note);
            assert_eq!(instrument.skipped, BTreeMap::from([(skip, 1)]), "{note:?}");
            assert!(instrument.notes.is_empty());
        }
    }

    #[test]
    fn nearly_right_notes_are_repaired_and_counted() {
        let note = |pitch, start, end, velocity| Note {
            pitch,
            start,
            end,
            velocity,
        };
        for (sent, repair, repaired) in [
            (sent(59.6, 0.0, 1.0, 1.0), Repair::PitchRounded, note(60, 0.0, 1.0, 127)),
            (
                sent(60.0, -0.5, 1.0, 1.0),
                Repair::StartMovedToZero,
                note(60, 0.0, 1.0, 127),
            ),
            (sent(60.0, 2.0, 1.0, 1.0), Repair::TimesSwapped, note(60, 1.0, 2.0, 127)),
            (sent(60.0, 1.0, 1e6, 1.0), Repair::EndCut, note(60, 1.0, 601.0, 127)),
            (sent(60.0, 1.0, 1.0, 1.0), Repair::ZeroLength, note(60, 1.0, 1.0, 127)),
            (
                sent(60.0, 0.0, 1.0, f64::NAN),
                Repair::VelocityMissing,
                note(60, 0.0, 1.0, 64),
            ),
            (
                sent(60.0, 0.0, 1.0, 100.0),
                Repair::VelocityClamped,
                note(60, 0.0, 1.0, 127),
            ),
            (
                sent(60.0, 0.0, 1.0, -1.0),
                Repair::VelocityClamped,
                note(60, 0.0, 1.0, 1),
            ),
        ] {
            let instrument = one(sent);
            assert_eq!(instrument.repaired, BTreeMap::from([(repair, 1)]), "{sent:?}");
            assert_eq!(instrument.notes, [repaired]);
        }
    }

    #[test]
    fn the_bounds_of_times_are_inclusive() {
        for (start, end) in [
            (MAX_START_SECONDS, MAX_START_SECONDS + 1.0),
            (0.0, MAX_NOTE_SECONDS),
            (500.0, 700.0),
        ] {
            let instrument = one(sent(60.0, start, end, 1.0));
            assert!(instrument.skipped.is_empty() && instrument.repaired.is_empty());
            assert_eq!((instrument.notes[0].start, instrument.notes[0].end), (start, end));
        }
        let late = one(sent(60.0, MAX_START_SECONDS + 0.1, MAX_START_SECONDS + 1.0, 1.0));
        assert_eq!(late.skipped, BTreeMap::from([(Skip::TooLate, 1)]));
    }

    #[test]
    fn an_onset_at_minus_zero_is_an_ordinary_zero() {
        assert!(one(sent(60.0, -0.0, 1.0, 1.0)).notes[0].start.is_sign_positive());
    }

    #[test]
    fn a_name_is_one_line_of_at_most_120_characters() {
        let part = |name: &str| RawPart {
            name: name.to_owned(),
            notes: vec![],
        };
        assert_eq!(Instrument::new(part(" Grand\tPiano\n")).name, "Grand Piano");
        assert_eq!(Instrument::new(part(&"é".repeat(500))).name, "é".repeat(120));
    }

    #[test]
    fn too_many_instruments_are_refused() {
        let crowd = |count| Score::new(vec![RawPart::default(); count]);
        assert_eq!(crowd(MAX_INSTRUMENTS).unwrap().instruments.len(), MAX_INSTRUMENTS);
        let error = crowd(MAX_INSTRUMENTS + 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1921 instruments are more than the 1920 that a MIDI file can hold"
        );
    }
}
