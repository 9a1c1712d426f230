//! `midihook render`: converts a saved callback, without AWS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use suno_midi::{
    convert,
    document::{Document, SongSummary, State},
    format::{MIDI, PIANO_ROLL},
    music::tempo::TempoChoice,
};

use crate::{Refused, input, output::print};

/// Write the MIDI file of a saved callback or record-info answer
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  midihook render callback.json                write <taskId>.mid here
  midihook render callback.json -o song.mid    write song.mid
  midihook render callback.json --svg song.svg write a picture of it too
  curl … | midihook render - -o - > song.mid   read from and write to a pipe
  midihook render callback.json --json         print the result document")]
pub struct Args {
    /// The saved JSON; - for standard input
    file: PathBuf,
    /// Where to write the MIDI file; - for standard output [default: <taskId>.mid]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Also write a picture of the song: a piano roll (SVG)
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The tempo of the file: auto (inferred from the notes), off (120), or a number from 20 to 400
    #[arg(long, value_name = "BPM", default_value_t = TempoChoice::Auto)]
    bpm: TempoChoice,
    /// Print the result document (JSON) on standard output instead of a summary
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let body = input::read(&args.file)?;
    let task_id = input::task_id(&body)?;
    // A file that was reduced to the notes has no task id.
    let task_id = task_id.map_or_else(|| "song".parse(), Ok)?;
    let outcome = convert(&task_id, &body, args.bpm);
    let document = &outcome.document;

    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if args.json && to_stdout {
        return Err(Refused("--json and -o - both write to standard output: use only one of them".to_owned()).into());
    }
    if args.json {
        print(&document.to_json())?;
    }
    let Some(midi) = outcome.file(MIDI) else {
        return Err(Refused(no_song(document)).into());
    };
    let mut report = document.song.as_ref().map(summary).unwrap_or_default();
    let mut save = |path: &Path, bytes: &[u8]| {
        report += &format!("wrote {}\n", path.display());
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    if to_stdout {
        print(&midi.bytes)?;
    } else {
        save(
            &args.output.clone().unwrap_or_else(|| format!("{task_id}.mid").into()),
            &midi.bytes,
        )?;
    }
    if let (Some(path), Some(piano_roll)) = (&args.svg, outcome.file(PIANO_ROLL)) {
        save(path, &piano_roll.bytes)?;
    }
    if !args.json && !to_stdout {
        print(report.as_bytes())?;
    }
    for warning in &document.warnings {
        eprintln!("note: {warning}");
    }
    Ok(())
}

fn no_song(document: &Document) -> String {
    match (&document.state, &document.failure) {
        (State::Failed, Some(failure)) => {
            let code = failure.code.map(|code| format!(" (code {code})")).unwrap_or_default();
            format!(
                "there is no song: the provider reported a failure{code}: {}",
                failure.message
            )
        }
        _ => format!("there is no song: {}", document.warnings.join("; ")),
    }
}

fn summary(song: &SongSummary) -> String {
    let mut lines = format!(
        "{} notes, {:.1} s, {:.0} BPM\n",
        song.notes, song.seconds, song.tempo.bpm
    );
    for instrument in &song.instruments {
        let (name, notes, channel) = (&instrument.name, instrument.notes, instrument.channel);
        let plays_as = if *name == instrument.plays_as {
            String::new()
        } else {
            format!("  plays as {}", instrument.plays_as)
        };
        lines += &format!("  {name:<28} {notes:>6} notes  channel {channel:>2}{plays_as}\n");
    }
    lines
}
