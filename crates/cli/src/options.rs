//! The rendering options as arguments of the commands that render.

use suno_midi::{
    RenderOptions,
    options::{BadTempoChoice, TempoChoice},
};

/// [`RenderOptions`], and a second way to say the tempo.
#[derive(clap::Args)]
pub struct OptionArgs {
    #[command(flatten)]
    options: RenderOptions,
    /// Infer the tempo; of the tempo found, its half and its double, take the one nearest to this
    #[arg(long, value_name = "BPM", conflicts_with = "tempo", value_parser = hint)]
    bpm_hint: Option<TempoChoice>,
}

/// Examples of these options, for a command's help.
macro_rules! examples {
    () => {
        "\
Rendering options:
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

impl OptionArgs {
    /// The options that were given.
    pub fn options(&self) -> RenderOptions {
        RenderOptions {
            tempo: self.options.tempo.or(self.bpm_hint),
            ..self.options
        }
    }
}

fn hint(text: &str) -> Result<TempoChoice, BadTempoChoice> {
    format!("~{text}").parse()
}
