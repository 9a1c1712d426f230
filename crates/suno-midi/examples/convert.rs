//! Converts a saved callback: `cargo run -p suno-midi --example convert callback.json song.mid`.

use suno_midi::{Options, convert, format};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [body, song]: [String; 2] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: convert CALLBACK.json SONG.mid")?;
    let outcome = convert(&"song".parse()?, &std::fs::read(body)?, &Options::default());
    let midi = outcome
        .file(format::MIDI)
        .ok_or_else(|| outcome.document.warnings.join("; "))?;
    std::fs::write(song, &midi.bytes)?;
    Ok(())
}
