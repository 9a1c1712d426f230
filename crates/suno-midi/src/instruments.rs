//! Instrument names → sounds.
//!
//! Where the names come from:
//! - [`GENERAL_MIDI`]: General MIDI System Level 1, table 2 (MIDI Association, RP-003). The provider sends these names,
//!   plus "Drums" for channel 10.
//! - `ALIASES`: other spellings of the same sounds, from General MIDI 2 (RP-024) and the instrument lists of notation
//!   programs and DAWs.
//! - `WORDS`: what transcription models (MT3, Basic Pitch, Omnizart) and stem separators (Demucs, Spleeter, the
//!   provider's own `split_stem`) call their outputs.
//!
//! We try them in this order. Otherwise the word "drum" would catch "Steel Drums", which is program 114.

use crate::score::Score;

/// What an instrument plays with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// A General MIDI program, 0 to 127. Musicians count from 1.
    Program(u8),
    /// The drum kit on channel 10.
    Drums,
}

impl Sound {
    /// The sound of an unknown name: Acoustic Grand Piano, which can play every note.
    pub const DEFAULT: Self = Self::Program(0);

    /// The program of a program change, 0 to 127; for drums the standard kit, 0.
    pub fn program(self) -> u8 {
        match self {
            Self::Program(program) => program,
            Self::Drums => 0,
        }
    }

    /// Whether its notes have a pitch that one can sing. Drums have none, nor have agogo, woodblock, the drums among the
    /// programs, reverse cymbal and the sound effects: the pitch of their notes says how they sound, not which tone.
    pub fn is_pitched(self) -> bool {
        !matches!(self, Self::Drums | Self::Program(113 | 115..=127))
    }

    /// The program's General MIDI name, or "Drums".
    pub fn name(self) -> &'static str {
        match self {
            Self::Program(program) => GENERAL_MIDI.get(usize::from(program)).copied().unwrap_or_default(),
            Self::Drums => "Drums",
        }
    }
}

/// How an instrument sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voice {
    /// Its program, or drums.
    pub sound: Sound,
    /// Whether the instrument's name was recognised. If not, `sound` is [`Sound::DEFAULT`].
    pub known: bool,
}

impl Voice {
    /// The voices of a score's instruments, in the same order.
    pub fn all(score: &Score) -> Vec<Self> {
        let instruments = score.instruments.iter();
        instruments.map(|instrument| Self::of(&instrument.name)).collect()
    }

    /// The voice of an instrument with this name.
    pub fn of(name: &str) -> Self {
        let sound = recognise(name);
        Self {
            sound: sound.unwrap_or(Sound::DEFAULT),
            known: sound.is_some(),
        }
    }
}

/// The sound of an instrument name, if it is known. Case, spacing, punctuation and a number after the name do not
/// matter.
///
/// ```
/// use suno_midi::instruments::{Sound, recognise};
///
/// assert_eq!(recognise("Electric Bass (finger)"), Some(Sound::Program(33)));
/// assert_eq!(recognise("backing vocals 2"), Some(Sound::Program(52)));
/// assert_eq!(recognise("808 drums"), Some(Sound::Drums));
/// assert_eq!(recognise("Xyzzy"), None);
/// ```
pub fn recognise(name: &str) -> Option<Sound> {
    let whole = letters(name).collect::<String>();
    let numberless = whole.trim_end_matches(|c: char| c.is_ascii_digit());
    exactly(&whole)
        .or_else(|| exactly(numberless))
        .or_else(|| by_words(&words(name)))
}

fn exactly(letters: &str) -> Option<Sound> {
    // Nearly every name differs in its first letter, so none is put together to be compared.
    let has_letters = |own: &str| self::letters(own).eq(letters.chars());
    let program = GENERAL_MIDI
        .iter()
        .position(|own| has_letters(own))
        .and_then(|index| u8::try_from(index).ok());
    program
        .or_else(|| {
            ALIASES
                .iter()
                .find(|(alias, _)| has_letters(alias))
                .map(|&(_, program)| program)
        })
        .map(Sound::Program)
}

fn by_words(words: &[String]) -> Option<Sound> {
    let holds = |wanted: &&str| words.iter().any(|word| word == wanted);
    WORDS
        .iter()
        .find(|(wanted, _)| wanted.split(' ').all(|word| holds(&word)))
        .map(|&(_, sound)| sound)
}

/// The letters and digits of a name, in lower case.
fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
}

/// The words of a name, in lower case and singular. `ElectricGuitar2` has three words.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(name.len() + 8);
    let mut last = ' ';
    for c in name.chars() {
        let new_word = (last.is_lowercase() && c.is_uppercase()) || (last.is_alphabetic() && c.is_ascii_digit());
        if new_word || !c.is_alphanumeric() {
            spaced.push(' ');
        }
        if c.is_alphanumeric() {
            spaced.extend(c.to_lowercase());
        }
        last = c;
    }
    spaced.split_whitespace().map(singular).collect()
}

fn singular(word: &str) -> String {
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with(['s', 'u']) => stem.to_owned(),
        _ => word.to_owned(),
    }
}

/// The names of programs 0 to 127.
#[rustfmt::skip]
pub const GENERAL_MIDI: [&str; 128] = [
    "Acoustic Grand Piano", "Bright Acoustic Piano", "Electric Grand Piano", "Honky-tonk Piano",
    "Electric Piano 1", "Electric Piano 2", "Harpsichord", "Clavi",
    "Celesta", "Glockenspiel", "Music Box", "Vibraphone", "Marimba", "Xylophone", "Tubular Bells", "Dulcimer",
    "Drawbar Organ", "Percussive Organ", "Rock Organ", "Church Organ", "Reed Organ", "Accordion", "Harmonica", "Tango Accordion",
    "Acoustic Guitar (nylon)", "Acoustic Guitar (steel)", "Electric Guitar (jazz)", "Electric Guitar (clean)",
    "Electric Guitar (muted)", "Overdriven Guitar", "Distortion Guitar", "Guitar Harmonics",
    "Acoustic Bass", "Electric Bass (finger)", "Electric Bass (pick)", "Fretless Bass",
    "Slap Bass 1", "Slap Bass 2", "Synth Bass 1", "Synth Bass 2",
    "Violin", "Viola", "Cello", "Contrabass", "Tremolo Strings", "Pizzicato Strings", "Orchestral Harp", "Timpani",
    "String Ensemble 1", "String Ensemble 2", "SynthStrings 1", "SynthStrings 2", "Choir Aahs", "Voice Oohs", "Synth Voice", "Orchestra Hit",
    "Trumpet", "Trombone", "Tuba", "Muted Trumpet", "French Horn", "Brass Section", "SynthBrass 1", "SynthBrass 2",
    "Soprano Sax", "Alto Sax", "Tenor Sax", "Baritone Sax", "Oboe", "English Horn", "Bassoon", "Clarinet",
    "Piccolo", "Flute", "Recorder", "Pan Flute", "Blown Bottle", "Shakuhachi", "Whistle", "Ocarina",
    "Lead 1 (square)", "Lead 2 (sawtooth)", "Lead 3 (calliope)", "Lead 4 (chiff)",
    "Lead 5 (charang)", "Lead 6 (voice)", "Lead 7 (fifths)", "Lead 8 (bass + lead)",
    "Pad 1 (new age)", "Pad 2 (warm)", "Pad 3 (polysynth)", "Pad 4 (choir)",
    "Pad 5 (bowed)", "Pad 6 (metallic)", "Pad 7 (halo)", "Pad 8 (sweep)",
    "FX 1 (rain)", "FX 2 (soundtrack)", "FX 3 (crystal)", "FX 4 (atmosphere)",
    "FX 5 (brightness)", "FX 6 (goblins)", "FX 7 (echoes)", "FX 8 (sci-fi)",
    "Sitar", "Banjo", "Shamisen", "Koto", "Kalimba", "Bag pipe", "Fiddle", "Shanai",
    "Tinkle Bell", "Agogo", "Steel Drums", "Woodblock", "Taiko Drum", "Melodic Tom", "Synth Drum", "Reverse Cymbal",
    "Guitar Fret Noise", "Breath Noise", "Seashore", "Bird Tweet", "Telephone Ring", "Helicopter", "Applause", "Gunshot",
];

/// Other spellings of single programs.
#[rustfmt::skip]
const ALIASES: &[(&str, u8)] = &[
    ("Piano", 0), ("Grand Piano", 0), ("Acoustic Piano", 0), ("Piano 1", 0), ("Bright Piano", 1), ("Piano 2", 1),
    ("Electric Grand", 2), ("Piano 3", 2), ("Honky Tonk", 3), ("Electric Piano", 4), ("E.Piano 1", 4), ("EP", 4), ("Rhodes", 4), ("Rhodes Piano", 4),
    ("E.Piano 2", 5), ("FM Electric Piano", 5), ("Chorused Piano", 5), ("Clavinet", 7), ("Clav", 7),
    ("Celeste", 8), ("Vibes", 11), ("Tubular Bell", 14), ("Chimes", 14), ("Hammered Dulcimer", 15), ("Santur", 15),
    ("Hammond Organ", 16), ("Hammond", 16), ("Organ 1", 16), ("Organ 2", 17), ("Organ 3", 18), ("Pipe Organ", 19), ("Harmonium", 20), ("Bandoneon", 23),
    ("Nylon String Guitar", 24), ("Nylon Guitar", 24), ("Classical Guitar", 24), ("Spanish Guitar", 24),
    ("Steel String Guitar", 25), ("Steel Guitar", 25), ("Folk Guitar", 25), ("Acoustic Guitar", 25), ("Jazz Guitar", 26), ("Clean Guitar", 27), ("Electric Guitar", 27),
    ("Muted Guitar", 28), ("Palm Muted Guitar", 28), ("Overdrive Guitar", 29), ("Distorted Guitar", 30), ("Distorted Electric Guitar", 30), ("Distortion Electric Guitar", 30),
    ("Electric Guitar (overdriven)", 29), ("Electric Guitar (distortion)", 30), ("Guitar Harmonic", 31),
    ("Upright Bass", 32), ("Double Bass", 32), ("Fingered Bass", 33), ("Finger Bass", 33), ("Electric Bass", 33), ("Bass Guitar", 33), ("Bass", 33),
    ("Picked Bass", 34), ("Pick Bass", 34), ("Slap Bass", 36), ("Synth Bass", 38), ("Bass Synth", 38), ("Sub Bass", 38), ("808", 38), ("808 Bass", 38),
    ("String Bass", 43), ("Tremolo String", 44), ("Pizzicato", 45), ("Harp", 46), ("Kettle Drums", 47),
    ("Strings", 48), ("String Section", 48), ("String Ensemble", 48), ("Strings Ensemble", 48), ("Slow Strings", 49), ("Synth Strings", 50),
    ("Choir", 52), ("Voice Aahs", 52), ("Aahs", 52), ("Choir Oohs", 53), ("Oohs", 53), ("Synth Vox", 54), ("Synth Choir", 54), ("Synth Vocals", 54), ("Orch Hit", 55),
    ("Muted Trombone", 57), ("Harmon Mute Trumpet", 59), ("Horn", 60), ("Brass", 61), ("Brass Ensemble", 61), ("Synth Brass", 62),
    ("Sax", 65), ("Saxophone", 65), ("Soprano Saxophone", 64), ("Alto Saxophone", 65), ("Tenor Saxophone", 66), ("Baritone Saxophone", 67), ("Bari Sax", 67), ("Cor Anglais", 69),
    ("Pan Pipes", 75), ("Bottle Blow", 76), ("Bottle", 76), ("Tin Whistle", 78),
    ("Square Lead", 80), ("Square Wave", 80), ("Lead 1", 80), ("Saw Lead", 81), ("Sawtooth Lead", 81), ("Saw Wave", 81), ("Sawtooth", 81), ("Lead 2", 81), ("Synth Lead", 81),
    ("Calliope", 82), ("Calliope Lead", 82), ("Lead 3", 82), ("Chiff", 83), ("Chiff Lead", 83), ("Chiffer Lead", 83), ("Lead 4", 83), ("Lead 4 (chiffer)", 83),
    ("Charang", 84), ("Charang Lead", 84), ("Lead 5", 84), ("Lead 4 (charang)", 84), ("Voice Lead", 85), ("Solo Vox", 85), ("Lead 6", 85),
    ("Fifths Lead", 86), ("Lead 7", 86), ("Lead 7 (fifth)", 86), ("Bass and Lead", 87), ("Bass Lead", 87), ("Lead 8", 87), ("Lead 8 (bass)", 87), ("Lead 8 (bass and lead)", 87),
    ("New Age", 88), ("New Age Pad", 88), ("Fantasia", 88), ("Pad 1", 88), ("Warm Pad", 89), ("Pad 2", 89), ("Pad", 89), ("Synth Pad", 89),
    ("Polysynth", 90), ("Polysynth Pad", 90), ("Pad 3", 90), ("Choir Pad", 91), ("Space Voice", 91), ("Pad 4", 91), ("Bowed Pad", 92), ("Bowed Glass", 92), ("Pad 5", 92),
    ("Metallic Pad", 93), ("Metal Pad", 93), ("Pad 6", 93), ("Halo Pad", 94), ("Pad 7", 94), ("Sweep Pad", 95), ("Pad 8", 95),
    ("Rain", 96), ("Ice Rain", 96), ("FX 1", 96), ("Soundtrack", 97), ("FX 2", 97), ("Crystal", 98), ("FX 3", 98), ("Atmosphere", 99), ("FX 4", 99),
    ("Brightness", 100), ("FX 5", 100), ("Goblins", 101), ("Goblin", 101), ("FX 6", 101), ("Echoes", 102), ("Echo Drops", 102), ("FX 7", 102), ("Sci-Fi", 103), ("Star Theme", 103), ("FX 8", 103),
    ("Thumb Piano", 108), ("Bagpipe", 109), ("Bagpipes", 109), ("Shehnai", 111), ("Tinker Bell", 112), ("Steel Drum", 114), ("Steelpan", 114), ("Wood Block", 115), ("Taiko", 116), ("Fret Noise", 120),
];

/// Words that tell the kind of an instrument, whatever else its name says. The first rule whose words all occur in the
/// name wins. The words of a name are compared in the singular.
#[rustfmt::skip]
const WORDS: &[(&str, Sound)] = &[
    // Drums come before basses: a "bass drum" and "808 drums" are drums.
    ("drum", Sound::Drums), ("drumkit", Sound::Drums), ("drumset", Sound::Drums), ("percussion", Sound::Drums), ("perc", Sound::Drums),
    ("kick", Sound::Drums), ("snare", Sound::Drums), ("hihat", Sound::Drums), ("hat", Sound::Drums), ("cymbal", Sound::Drums), ("crash", Sound::Drums),
    ("tom", Sound::Drums), ("tomtom", Sound::Drums), ("clap", Sound::Drums), ("handclap", Sound::Drums), ("rimshot", Sound::Drums), ("cowbell", Sound::Drums),
    ("conga", Sound::Drums), ("bongo", Sound::Drums), ("tambourine", Sound::Drums), ("shaker", Sound::Drums), ("maraca", Sound::Drums), ("timbale", Sound::Drums),
    ("cajon", Sound::Drums), ("djembe", Sound::Drums), ("tabla", Sound::Drums), ("breakbeat", Sound::Drums),
    // Voices.
    ("backing", Sound::Program(52)), ("background vocal", Sound::Program(52)), ("choir", Sound::Program(52)), ("chorus vocal", Sound::Program(52)), ("harmony vocal", Sound::Program(52)),
    ("singing chorus", Sound::Program(52)), ("bgv", Sound::Program(52)),
    ("synth voice", Sound::Program(54)), ("synth vocal", Sound::Program(54)), ("synth vox", Sound::Program(54)),
    ("vocal", Sound::Program(53)), ("voice", Sound::Program(53)), ("vox", Sound::Program(53)), ("singing", Sound::Program(53)), ("singer", Sound::Program(53)), ("acapella", Sound::Program(53)),
    // Basses. "Bassoon" and "Brass" are other words.
    ("bass clarinet", Sound::Program(71)), ("bass flute", Sound::Program(73)), ("bass trombone", Sound::Program(57)), ("bass sax", Sound::Program(67)), ("bass saxophone", Sound::Program(67)),
    ("synth bass", Sound::Program(38)), ("sub bass", Sound::Program(38)), ("808", Sound::Program(38)), ("slap bass", Sound::Program(36)), ("fretless", Sound::Program(35)),
    ("pick bass", Sound::Program(34)), ("picked bass", Sound::Program(34)), ("acoustic bass", Sound::Program(32)), ("upright bass", Sound::Program(32)), ("double bass", Sound::Program(32)),
    ("contrabass", Sound::Program(43)), ("bass", Sound::Program(33)),
    // Guitars.
    ("distortion guitar", Sound::Program(30)), ("distorted guitar", Sound::Program(30)), ("overdriven guitar", Sound::Program(29)), ("overdrive guitar", Sound::Program(29)),
    ("muted guitar", Sound::Program(28)), ("jazz guitar", Sound::Program(26)), ("nylon guitar", Sound::Program(24)), ("classical guitar", Sound::Program(24)),
    ("acoustic guitar", Sound::Program(25)), ("steel guitar", Sound::Program(25)), ("lead guitar", Sound::Program(30)), ("electric guitar", Sound::Program(27)), ("guitar", Sound::Program(27)),
    ("ukulele", Sound::Program(24)), ("mandolin", Sound::Program(25)), ("banjo", Sound::Program(105)), ("sitar", Sound::Program(104)),
    // Keyboards.
    ("electric piano", Sound::Program(4)), ("rhode", Sound::Program(4)), ("wurlitzer", Sound::Program(4)), ("piano", Sound::Program(0)), ("keyboard", Sound::Program(0)), ("key", Sound::Program(0)),
    ("harpsichord", Sound::Program(6)), ("clavinet", Sound::Program(7)), ("clav", Sound::Program(7)), ("church organ", Sound::Program(19)), ("pipe organ", Sound::Program(19)), ("organ", Sound::Program(16)),
    ("accordion", Sound::Program(21)), ("vibraphone", Sound::Program(11)), ("marimba", Sound::Program(12)), ("xylophone", Sound::Program(13)), ("glockenspiel", Sound::Program(9)), ("bell", Sound::Program(14)),
    // Synthesizers.
    ("synth string", Sound::Program(50)), ("synth brass", Sound::Program(62)), ("synth pad", Sound::Program(89)), ("pad", Sound::Program(89)), ("arp", Sound::Program(81)), ("arpeggio", Sound::Program(81)), ("arpeggiator", Sound::Program(81)),
    ("drone", Sound::Program(89)), ("theremin", Sound::Program(85)),
    ("synth lead", Sound::Program(81)), ("lead", Sound::Program(81)), ("synth pluck", Sound::Program(90)), ("pluck", Sound::Program(90)), ("synth", Sound::Program(90)), ("synthesizer", Sound::Program(90)),
    // Strings, brass, woodwinds.
    ("violin", Sound::Program(40)), ("viola", Sound::Program(41)), ("cello", Sound::Program(42)), ("fiddle", Sound::Program(110)), ("pizzicato", Sound::Program(45)), ("harp", Sound::Program(46)),
    ("string", Sound::Program(48)), ("orchestra", Sound::Program(48)), ("orchestral", Sound::Program(48)),
    ("trumpet", Sound::Program(56)), ("trombone", Sound::Program(57)), ("tuba", Sound::Program(58)), ("french horn", Sound::Program(60)), ("english horn", Sound::Program(69)), ("brass", Sound::Program(61)), ("horn", Sound::Program(61)),
    ("soprano sax", Sound::Program(64)), ("tenor sax", Sound::Program(66)), ("baritone sax", Sound::Program(67)), ("sax", Sound::Program(65)), ("saxophone", Sound::Program(65)),
    ("oboe", Sound::Program(68)), ("bassoon", Sound::Program(70)), ("clarinet", Sound::Program(71)), ("piccolo", Sound::Program(72)), ("flute", Sound::Program(73)), ("recorder", Sound::Program(74)),
    ("woodwind", Sound::Program(73)), ("wind", Sound::Program(73)), ("reed", Sound::Program(71)), ("harmonica", Sound::Program(22)), ("melodica", Sound::Program(22)), ("whistle", Sound::Program(78)),
    ("didgeridoo", Sound::Program(58)),
    // Effects.
    ("fx", Sound::Program(97)), ("effect", Sound::Program(97)), ("sfx", Sound::Program(97)), ("riser", Sound::Program(119)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_general_midi_name_is_its_own_program() {
        for (program, name) in (0u8..).zip(GENERAL_MIDI) {
            for spelling in [
                name.to_owned(),
                name.to_uppercase(),
                name.to_lowercase().replace(' ', "_"),
                name.replace([' ', '(', ')'], ""),
                format!("  {name} "),
            ] {
                assert_eq!(recognise(&spelling), Some(Sound::Program(program)), "{spelling:?}");
            }
        }
    }

    #[test]
    fn every_alias_is_recognised_and_listed_once() {
        for &(alias, program) in ALIASES {
            assert_eq!(recognise(alias), Some(Sound::Program(program)), "{alias:?}");
            let same = ALIASES.iter().filter(|(other, _)| letters(other).eq(letters(alias)));
            assert_eq!(same.count(), 1, "{alias:?} is listed twice");
        }
    }

    #[test]
    fn every_rule_of_words_can_be_reached() {
        for (index, &(wanted, _)) in WORDS.iter().enumerate() {
            let words: Vec<String> = wanted.split(' ').map(str::to_owned).collect();
            let first = WORDS
                .iter()
                .position(|(other, _)| other.split(' ').all(|word| words.iter().any(|own| own == word)));
            assert_eq!(first, Some(index), "{wanted:?} is hidden by an earlier rule");
            assert!(
                words.iter().all(|word| singular(word) == *word),
                "{wanted:?} is not in the singular"
            );
        }
    }

    #[test]
    fn the_names_of_models_and_separators_are_known() {
        for (name, sound) in [
            ("Vocals", Sound::Program(53)),
            ("Lead Vocal", Sound::Program(53)),
            ("Backing Vocals", Sound::Program(52)),
            ("Singing Voice", Sound::Program(53)),
            ("Singing Voice (chorus)", Sound::Program(52)),
            ("Guitar", Sound::Program(27)),
            ("Keyboard", Sound::Program(0)),
            ("Keys", Sound::Program(0)),
            ("Organ", Sound::Program(16)),
            ("Woodwinds", Sound::Program(73)),
            ("Synth", Sound::Program(90)),
            ("FX", Sound::Program(97)),
            ("Drum Kit", Sound::Drums),
            ("drums", Sound::Drums),
            ("Percussion", Sound::Drums),
            ("Kick", Sound::Drums),
            ("Kick Drum", Sound::Drums),
            ("Bass Drum", Sound::Drums),
            ("Snare 2", Sound::Drums),
            ("Hi-Hat", Sound::Drums),
            ("HiHats", Sound::Drums),
            ("808 Drums", Sound::Drums),
            ("808s", Sound::Program(38)),
            ("Steel Drums", Sound::Program(114)),
            ("Acoustic Grand Piano 2", Sound::Program(0)),
            ("Electric Guitar (clean) 3", Sound::Program(27)),
            ("bass_guitar_left", Sound::Program(33)),
            ("LeadVocalDouble", Sound::Program(53)),
            ("Strings (high)", Sound::Program(48)),
            ("Bassoon", Sound::Program(70)),
            // General MIDI has none of these. Each plays as what sounds most like it.
            ("Risers", Sound::Program(119)),
            ("Arpeggiator", Sound::Program(81)),
            ("Drone", Sound::Program(89)),
            ("Theremin", Sound::Program(85)),
            ("Melodica", Sound::Program(22)),
            ("Didgeridoo", Sound::Program(58)),
        ] {
            assert_eq!(recognise(name), Some(sound), "{name:?}");
        }
    }

    #[test]
    fn a_plural_is_a_singular_with_an_s() {
        for (word, expected) in [
            ("drums", "drum"),
            ("keys", "key"),
            ("gas", "gas"),
            ("bass", "bass"),
            ("chorus", "chorus"),
            ("s", "s"),
        ] {
            assert_eq!(singular(word), expected);
        }
    }

    #[test]
    fn an_unknown_name_is_not_guessed() {
        for name in ["", "  ", "7", "Xyzzy", "Other", "太鼓", "Bassinet", "Drumlin"] {
            assert_eq!(recognise(name), None, "{name:?}");
        }
    }
}
