//! Synthetic songs whose tempo is known.

use suno_midi::{
    provider::callback::{Part, SentNote},
    score::Score,
};

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
}

impl Kind {
    pub const ALL: [Self; 10] = [
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
    ];
}

pub struct Song {
    pub score: Score,
    pub bpm: f64,
    /// The first downbeat, in seconds.
    pub downbeat: f64,
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
        let within = beats.fract();
        let swung = beats.floor()
            + if within < 0.5 {
                within / 0.5 * swing
            } else {
                swing + (within - 0.5) / 0.5 * (1.0 - swing)
            };
        let warped = match kind {
            Kind::Drift => swung + 0.000_16 * swung * swung,
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
    for bar in 0..BARS {
        let at = f64::from(4 * bar);
        drums.extend([0.0, 2.0].map(|beats| (at + beats, 36.0, 0.2, 1.0)));
        drums.extend([1.0, 3.0].map(|beats| (at + beats, 38.0, 0.2, 0.9)));
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
    let parts: Vec<Part> = parts
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
                SentNote {
                    pitch: Some(pitch),
                    start: Some(start),
                    end: Some(start + length * beat),
                    velocity: Some(velocity),
                }
            };
            Part {
                name: name.to_owned(),
                notes: notes.into_iter().map(|sent| note(sent, r)).collect(),
            }
        })
        .collect();
    Song {
        score: Score::new(&parts).unwrap(),
        bpm,
        downbeat,
    }
}
