//! Synthetic songs whose beats are known.
// Not each test reads all of a song.
#![allow(dead_code)]

use suno_midi::score::{RawNote, RawPart, Score};

/// SplitMix64, so that every machine gets the same songs.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn within(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.next()
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.next() < probability
    }

    /// Roughly normal, with standard deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Played by a machine.
    Straight,
    /// Played by people: 4 ms off (standard deviation).
    Played,
    /// 8 ms off.
    Loose,
    /// Off-beats at 58 to 67 % of the beat.
    Swing,
    /// A twentieth of the notes.
    Sparse,
    DrumsOnly,
    MelodyOnly,
    /// 3 % slower at the end.
    Drift,
    /// Ahead and behind by a third of a beat.
    Rubato,
    /// No beat at all.
    NoBeat,
    /// 40 % faster at the end.
    Accelerando,
    /// Another tempo, 20 % faster, from the middle on.
    TempoChange,
    /// Three quarters to a bar.
    Three,
    /// Two beats of three eighths to a bar.
    SixEight,
    /// One to three beats of melody and bass before the first bar.
    PickUp,
    /// The snare on the third beat only.
    HalfTime,
}

impl Kind {
    pub const ALL: [Self; 16] = [
        Self::Straight,
        Self::Played,
        Self::Loose,
        Self::Swing,
        Self::Sparse,
        Self::DrumsOnly,
        Self::MelodyOnly,
        Self::Drift,
        Self::Rubato,
        Self::NoBeat,
        Self::Accelerando,
        Self::TempoChange,
        Self::Three,
        Self::SixEight,
        Self::PickUp,
        Self::HalfTime,
    ];
}

pub struct Song {
    pub score: Score,
    pub bpm: f64,
    /// The first downbeat, in seconds.
    pub downbeat: f64,
    /// All beats and all downbeats, in seconds.
    pub beats: Vec<f64>,
    pub downbeats: Vec<f64>,
    /// Where between two beats the off-beat falls.
    pub swing: f64,
}

pub const BARS: u32 = 48;

pub fn song(kind: Kind, r: &mut Random) -> Song {
    let bpm = r.within(65.0, 185.0);
    let beat = 60.0 / bpm;
    let downbeat = r.within(0.0, 4.0 * beat);
    let swing = if kind == Kind::Swing { r.within(0.58, 0.67) } else { 0.5 };
    let deviation = match kind {
        Kind::Straight => 0.0,
        Kind::Loose => 0.008,
        _ => 0.004,
    };
    let time = |beats: f64| {
        let within = beats - beats.floor();
        let swung = beats.floor()
            + if within < 0.5 {
                within / 0.5 * swing
            } else {
                swing + (within - 0.5) / 0.5 * (1.0 - swing)
            };
        let warped = match kind {
            Kind::Drift => swung + 0.000_16 * swung * swung,
            Kind::Accelerando => swung - 0.000_75 * swung * swung,
            Kind::TempoChange if swung > 96.0 => 96.0 + (swung - 96.0) / 1.2,
            Kind::Rubato => swung + 0.35 * (swung / 5.1).sin() + 0.2 * (swung / 1.9 + 1.0).sin(),
            _ => swung,
        };
        downbeat + beat * warped
    };

    // Beats, MIDI note number, length in beats, velocity.
    let (mut drums, mut bass, mut chords, mut melody) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let sixteenths = r.chance(0.25);
    let walking = r.chance(0.5);
    let mut phrase = || -> Vec<f64> {
        let likely = |place: u32| {
            if place.is_multiple_of(4) {
                0.75
            } else if place.is_multiple_of(2) {
                0.5
            } else {
                0.22
            }
        };
        (0..16)
            .filter(|&place| r.chance(likely(place)))
            .map(|place| f64::from(place) / 4.0)
            .collect()
    };
    let phrases = [phrase(), phrase()];
    let width = match kind {
        Kind::Three => 3,
        Kind::SixEight => 2,
        _ => 4,
    };
    let pick_up = match kind {
        Kind::PickUp => 1.0 + (r.within(0.0, 3.0)).floor(),
        _ => 0.0,
    };
    // A pick-up is played from the beginning of the audio, so that the first downbeat comes after it.
    let downbeat = if kind == Kind::PickUp {
        pick_up * beat + 0.1
    } else {
        downbeat
    };
    let time = |beats: f64| time(beats) - time(0.0) + downbeat;
    for index in 0..pick_up as u32 {
        let at = f64::from(index) - pick_up;
        melody.extend([at, at + 0.5].map(|beats| (beats, 74.0 + f64::from(index), 0.4, 0.8)));
    }
    if matches!(kind, Kind::Three | Kind::SixEight) {
        for bar in 0..BARS {
            let at = f64::from(width * bar);
            let parts = if kind == Kind::Three { 2 } else { 3 };
            let chord = f64::from([0, 5, 7, 2][bar as usize % 4]);
            drums.push((at, 36.0, 0.2, 1.0));
            drums.extend((1..width).map(|beat| (at + f64::from(beat), 38.0, 0.2, 0.8)));
            drums.extend((0..width * parts).map(|part| (at + f64::from(part) / f64::from(parts), 42.0, 0.1, 0.5)));
            bass.push((at, 36.0 + chord, 1.0, 0.8));
            chords.extend([48.0, 52.0, 55.0].map(|pitch| (at, pitch + chord, f64::from(width), 0.6)));
            for part in 0..width * parts {
                if part == 0 || r.chance(0.6) {
                    let beats = at + f64::from(part) / f64::from(parts);
                    melody.push((beats, 72.0 + f64::from(part), 0.3, 0.8));
                }
            }
        }
    }
    let bars = if matches!(kind, Kind::Three | Kind::SixEight) {
        0
    } else {
        BARS
    };
    for bar in 0..bars {
        let at = f64::from(4 * bar);
        drums.extend([0.0, 2.0].map(|beats| (at + beats, 36.0, 0.2, 1.0)));
        let snares: &[f64] = if kind == Kind::HalfTime { &[2.0] } else { &[1.0, 3.0] };
        drums.extend(snares.iter().map(|beats| (at + beats, 38.0, 0.2, 0.9)));
        let hats = if sixteenths { 16 } else { 8 };
        drums.extend((0..hats).map(|hat| (at + 4.0 * f64::from(hat) / f64::from(hats), 42.0, 0.1, 0.5)));
        let steps: &[f64] = if walking {
            &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
        } else {
            &[0.0, 1.5, 2.0, 3.5]
        };
        bass.extend(
            steps
                .iter()
                .map(|beats| (at + beats, 36.0 + f64::from(bar % 4), 0.5, 0.8)),
        );
        chords.extend([48.0, 52.0, 55.0].map(|pitch| (at, pitch + f64::from(bar % 4), 4.0, 0.6)));
        melody.extend(
            phrases[bar as usize % 2]
                .iter()
                .map(|beats| (at + beats, 72.0 + (beats * 4.0) % 7.0, 0.25, 0.8)),
        );
    }
    let parts = [
        ("Drums", drums),
        ("Electric Bass (finger)", bass),
        ("String Ensemble 1", chords),
        ("Lead 1 (square)", melody),
    ];
    let parts: Vec<RawPart> = parts
        .into_iter()
        .filter(|(name, _)| match kind {
            Kind::DrumsOnly => *name == "Drums",
            Kind::MelodyOnly => name.starts_with("Lead"),
            _ => true,
        })
        .map(|(name, notes)| {
            let notes = notes
                .into_iter()
                .filter(|_| kind != Kind::Sparse || r.chance(0.05))
                .collect::<Vec<_>>();
            let note = |(beats, pitch, length, velocity): (f64, f64, f64, f64), r: &mut Random| {
                let start = match kind {
                    Kind::NoBeat => r.within(0.0, 4.0 * f64::from(BARS) * beat),
                    _ => (time(beats) + deviation * r.normal()).max(0.0),
                };
                let start = (start * 192.0).round() / 192.0;
                RawNote {
                    pitch,
                    start,
                    end: start + length * beat,
                    velocity,
                }
            };
            RawPart {
                name: name.to_owned(),
                notes: notes.into_iter().map(|sent| note(sent, r)).collect(),
            }
        })
        .collect();
    // Of beats, not of swung eighths: these are straight at whole beats.
    let beats = |step: u32| {
        (0..=width * BARS)
            .step_by(step as usize)
            .map(|beat| time(f64::from(beat)))
            .collect()
    };
    Song {
        score: Score::new(parts).unwrap(),
        bpm,
        downbeat,
        beats: beats(1),
        downbeats: beats(width),
        swing,
    }
}
