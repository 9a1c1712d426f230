//! The options with which the musician decides, for the commands that render.

use suno_midi::{
    Overrides,
    format::midi::quantize::{Quantize, Strength},
    music::{
        choices::{BadTempoChoice, TempoChoice, downbeat},
        grid::Meter,
        key::Key,
    },
};

/// What the musician decides. The rest is inferred, or as the stack has it.
#[derive(clap::Args)]
#[command(next_help_heading = "The musician decides")]
pub struct OverrideArgs {
    /// The tempo: auto (inferred from the notes), off (120), or a number of BPM from 20 to 400
    #[arg(long, value_name = "BPM")]
    bpm: Option<TempoChoice>,
    /// Infer the tempo; of the tempo found, its half and its double, take the one nearest to this
    #[arg(long, value_name = "BPM", conflicts_with = "bpm", value_parser = hint)]
    bpm_hint: Option<TempoChoice>,
    /// The metre: 2/4 to 7/4, 6/8, 9/8 or 12/8
    #[arg(long, value_name = "METRE")]
    meter: Option<Meter>,
    /// A downbeat, in seconds from the beginning of the audio: a bar begins there
    #[arg(long, value_name = "SECONDS", value_parser = downbeat)]
    downbeat: Option<f64>,
    /// One tempo for the whole song, even if its beats drift
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    steady: Option<bool>,
    /// The key: C, F#, Bb, Ebm
    #[arg(long, value_name = "KEY")]
    key: Option<Key>,
    /// Also write one MIDI file for each instrument
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    split: Option<bool>,
    /// Also write a MIDI file with its notes on a grid: 1/8, 1/12 (triplets), 1/16, 1/24 (triplets), or off
    #[arg(long, value_name = "GRID")]
    quantize: Option<Quantize>,
    /// How far notes move to the grid, from 0 to 1 [default: 1]
    #[arg(long, value_name = "SHARE")]
    quantize_strength: Option<Strength>,
}

/// Examples of these options, for a command's help.
macro_rules! examples {
    () => {
        "\
The musician decides:
  --bpm 92                      92 BPM; the downbeat is still inferred
  --bpm-hint 92                 if the notes fit 46, 92 and 184 BPM alike: 92
  --meter 3/4 --downbeat 1.23   bars of three quarters, one of which begins at 1.23 s
  --steady                      one tempo, whatever the beats do
  --key Ebm                     the key signature of E flat minor
  --split                       a file for each instrument
  --quantize 1/16 --quantize-strength 0.5
                                a file whose notes are half as far from sixteenths as they were played"
    };
}
pub(crate) use examples;

impl OverrideArgs {
    /// What is asked for.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            tempo: self.bpm.or(self.bpm_hint),
            meter: self.meter,
            downbeat: self.downbeat,
            steady: self.steady,
            key: self.key,
            split: self.split,
            quantize: self.quantize,
            quantize_strength: self.quantize_strength,
        }
    }
}

fn hint(text: &str) -> Result<TempoChoice, BadTempoChoice> {
    format!("~{text}").parse()
}
