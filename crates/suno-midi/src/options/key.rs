//! A key: its tonic, its mode and its signature.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A key: a tonic with its spelling, and major or minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    fifths: i8,
    minor: bool,
}

/// A text that is not a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a key is a note name, then m for minor: C, F#, Bb, Ebm; at most seven sharps or flats")]
pub struct BadKey;

/// The tonics of the major keys with 7 flats to 7 sharps. The minor tonics are those three places further on.
const TONICS: [&str; 18] = [
    "Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#",
];

impl Key {
    /// The key with this signature: -7 (seven flats) to 7 (seven sharps); others are cut to these.
    pub fn with_fifths(fifths: i8, minor: bool) -> Self {
        Self {
            fifths: fifths.clamp(-7, 7),
            minor,
        }
    }

    /// How many sharps its signature has, -7 to 7; flats count negative.
    pub fn fifths(self) -> i8 {
        self.fifths
    }

    /// Whether it is minor.
    pub fn is_minor(self) -> bool {
        self.minor
    }

    /// The key with the tones of a major key, in the spelling with the fewest accidentals: six flats rather than six
    /// sharps. `relative_major` is the pitch class of the tonic of that major key.
    pub(crate) fn with_tones_of(relative_major: usize, minor: bool) -> Self {
        let sharps = (7 * (relative_major % 12) % 12) as i8;
        Self::with_fifths(if sharps < 6 { sharps } else { sharps - 12 }, minor)
    }

    /// The pitch class of its tonic: 0 is C, 11 is B.
    pub fn tonic(self) -> u8 {
        let places = i32::from(self.fifths) + if self.minor { 3 } else { 0 };
        (7 * places).rem_euclid(12) as u8
    }

    /// The name of its tonic: `Eb`, `F#`.
    pub fn tonic_name(self) -> &'static str {
        let place = self.fifths + 7 + if self.minor { 3 } else { 0 };
        TONICS[place as usize]
    }

    /// `"major"` or `"minor"`.
    pub fn mode_name(self) -> &'static str {
        if self.minor { "minor" } else { "major" }
    }
}

impl fmt::Display for Key {
    /// As musicians write it in chord symbols: `Eb`, `F#m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tonic_name())?;
        f.write_str(if self.minor { "m" } else { "" })
    }
}

impl FromStr for Key {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, minor) = match text.strip_suffix('m') {
            Some(name) => (name, true),
            None => (text, false),
        };
        (-7..=7)
            .map(|fifths| Self::with_fifths(fifths, minor))
            .find(|key| key.to_string().trim_end_matches('m').eq_ignore_ascii_case(name))
            .ok_or(BadKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_with_the_fewest_accidentals_is_taken() {
        let names = |minor| {
            let key = |tonic| Key::with_tones_of(tonic, minor).to_string();
            (0..12).map(key).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(false), "C Db D Eb E F Gb G Ab A Bb B");
        assert_eq!(names(true), "Am Bbm Bm Cm C#m Dm Ebm Em Fm F#m Gm G#m");
    }

    #[test]
    fn a_key_is_written_as_it_is_read() {
        for (text, fifths, tonic) in [
            ("C", 0, 0),
            ("Am", 0, 9),
            ("Ebm", -6, 3),
            ("D#m", 6, 3),
            ("F#", 6, 6),
            ("Gb", -6, 6),
            ("Cb", -7, 11),
            ("C#", 7, 1),
            ("A#m", 7, 10),
            ("Abm", -7, 8),
            ("Bb", -2, 10),
        ] {
            let key: Result<Key, _> = text.parse();
            assert_eq!(
                key.map(|key| (key.fifths(), key.tonic())),
                Ok((fifths, tonic)),
                "{text}"
            );
            assert_eq!(key.map(|key| key.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("bbm".parse::<Key>(), "Bbm".parse());
        for bad in ["", "m", "H", "G#", "Fbm", "Cmaj", "C##", "é"] {
            assert_eq!(bad.parse::<Key>(), Err(BadKey), "{bad}");
        }
    }
}
