//! How a key spells pitches.

use crate::options::Key;

/// The name of a MIDI pitch as the key spells it, with the octave after it; middle C, 60, is `C4`. Without a key, as in
/// C.
///
/// A tone of the key has the name that the signature gives it. Other tones are spelled as alterations that are usual in
/// the key: sharp up to the raised fifth of major (the leading tone of the relative minor), otherwise flat.
///
/// ```
/// use suno_midi::music::key::pitch_name;
///
/// let key = "Ebm".parse()?;
/// assert_eq!(pitch_name(63, Some(key)), "Eb4");
/// assert_eq!(pitch_name(59, Some(key)), "Cb4");
/// assert_eq!(pitch_name(63, Some("E".parse()?)), "D#4");
/// assert_eq!(pitch_name(54, None), "F#3");
/// # Ok::<(), suno_midi::options::BadKey>(())
/// ```
pub fn pitch_name(pitch: u8, key: Option<Key>) -> String {
    // Places on the line of fifths: C is 0, G is 1, F is -1. Each pitch class has one place among any twelve.
    let lowest = key.map_or(0, |key| i32::from(key.fifths())) - 3;
    let mut place = lowest + (7 * i32::from(pitch) - lowest).rem_euclid(12);
    // Fb is -8, B# is 12. Double accidentals are hard to read.
    if place < -8 {
        place += 12;
    } else if place > 12 {
        place -= 12;
    }
    let letter = ["F", "C", "G", "D", "A", "E", "B"][(place + 1).rem_euclid(7) as usize];
    let (accidental, raised) = match (place + 1).div_euclid(7) {
        ..0 => ("b", -1),
        0 => ("", 0),
        1.. => ("#", 1),
    };
    // The octave is that of the letter: Cb4 sounds as B3.
    let octave = (i32::from(pitch) - raised).div_euclid(12) - 1;
    format!("{letter}{accidental}{octave}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pitch_is_named_as_its_key_spells_it() {
        let octave = |key: Option<&str>| {
            let key = key.map(|key| key.parse().unwrap());
            (60..72)
                .map(|pitch| pitch_name(pitch, key))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let c = "C4 C#4 D4 Eb4 E4 F4 F#4 G4 G#4 A4 Bb4 B4";
        assert_eq!(octave(None), c);
        assert_eq!(octave(Some("C")), c);
        assert_eq!(octave(Some("Am")), c);
        assert_eq!(octave(Some("Eb")), "C4 Db4 D4 Eb4 E4 F4 Gb4 G4 Ab4 A4 Bb4 B4");
        assert_eq!(octave(Some("Gb")), "C4 Db4 D4 Eb4 Fb4 F4 Gb4 G4 Ab4 A4 Bb4 Cb5");
        assert_eq!(octave(Some("F#")), "B#3 C#4 D4 D#4 E4 E#4 F#4 G4 G#4 A4 A#4 B4");
        assert_eq!(
            [0, 21, 108, 127].map(|pitch| pitch_name(pitch, None)),
            ["C-1", "A0", "C8", "G9"]
        );
        assert_eq!(pitch_name(0, Some("C#".parse().unwrap())), "B#-2");
    }

    #[test]
    fn a_name_has_one_accidental_at_most_and_means_its_pitch() {
        let class = |letter: char| [0, 2, 4, 5, 7, 9, 11]["CDEFGAB".find(letter).unwrap()];
        for fifths in -7..=7 {
            for pitch in 0..=127 {
                let name = pitch_name(pitch, Some(Key::with_fifths(fifths, false)));
                let letter = name.chars().next().unwrap();
                let rest = &name[1..];
                let (raised, octave) = match (rest.strip_prefix('b'), rest.strip_prefix('#')) {
                    (Some(octave), _) => (-1, octave),
                    (_, Some(octave)) => (1, octave),
                    _ => (0, rest),
                };
                let octave: i32 = octave.parse().unwrap();
                assert_eq!(12 * (octave + 1) + class(letter) + raised, i32::from(pitch), "{name}");
            }
        }
    }
}
