//! `midihook render`: converts a saved callback, without AWS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use suno_midi::{
    Options, convert_read,
    document::SongSummary,
    format::{MIDI, Outputs, PIANO_ROLL, QUANTIZED, midi::quantize::Quantize},
    music::choices::TempoChoice,
    provider::callback::read_with_task_ids,
};

use crate::{
    Refused, input,
    output::print,
    overrides::{self, OverrideArgs},
};

/// Write the MIDI file of a saved callback or record-info answer
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The saved JSON; - for standard input
    file: PathBuf,
    /// Where to write the MIDI file; - for standard output [default: <taskId>.mid]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Also write a picture of the song: a piano roll (SVG)
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the result document (JSON) on standard output instead of a summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: OverrideArgs,
}

const EXAMPLES: &str = concat!(
    "\
Examples:
  midihook render callback.json                write <taskId>.mid here
  midihook render callback.json -o song.mid    write song.mid
  midihook render callback.json --svg song.svg write a picture of it too
  curl … | midihook render - -o - > song.mid   read from and write to a pipe
  midihook render callback.json --json         print the result document
  midihook render callback.json --bpm 92       the musician decides

",
    overrides::examples!(),
    "\n\nWith -o song.mid, --split writes song-01-drums.mid and so on, and --quantize writes song-quantized.mid."
);

pub fn run(args: &Args) -> anyhow::Result<()> {
    let usual = Outputs {
        // The document names every file of a song.
        piano_roll: args.svg.is_some() || args.json,
        ..Outputs::default()
    };
    let options = args.overrides.overrides().over(Options {
        outputs: usual,
        ..Options::default()
    });
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && args.json {
        return Err(Refused("--json and -o - both write to standard output: use only one of them".to_owned()).into());
    }
    if to_stdout && (options.outputs.split || options.outputs.quantize != Quantize::Off) {
        let why = "--split and --quantize write more files beside the output: give it a name with -o instead of -";
        return Err(Refused(why.to_owned()).into());
    }
    let body = input::read(&args.file)?;
    let (ids, read) = read_with_task_ids(&body);
    let task_id = input::only(&ids)?;
    // A file that was reduced to the notes has no task id.
    let task_id = task_id.map_or_else(|| "song".parse(), Ok)?;
    let outcome = convert_read(&task_id, &body, read, &options);
    let document = &outcome.document;

    if args.json {
        print(&document.to_json())?;
    }
    let Some(midi) = outcome.file(MIDI) else {
        let failure = document.failure.as_ref();
        let failure = failure.map(|failure| (failure.code, failure.message.as_str()));
        return Err(Refused(no_song(failure, &document.warnings)).into());
    };
    let tempo = options.choices.tempo;
    let mut report = document
        .song
        .as_ref()
        .map(|song| summary(song, tempo))
        .unwrap_or_default();
    let mut save = |path: &Path, bytes: &[u8]| {
        report += &format!("wrote {}\n", path.display());
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    if to_stdout {
        print(&midi.bytes)?;
    } else {
        let output = args.output.clone().unwrap_or_else(|| format!("{task_id}.mid").into());
        save(&output, &midi.bytes)?;
        let objects = outcome.objects().filter(|(object, file)| {
            file.format == QUANTIZED || file.format == MIDI && Some(*object) != document.object(MIDI)
        });
        for (object, file) in objects {
            save(&beside(&output, object), &file.bytes)?;
        }
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

/// Why there is no song: what the provider said (its code and message), or else what midihook noticed.
pub fn no_song(failure: Option<(Option<i64>, &str)>, warnings: &[String]) -> String {
    match failure {
        Some((code, message)) => {
            let code = code.map(|code| format!(" (code {code})")).unwrap_or_default();
            format!("there is no song: the provider reported a failure{code}: {message}")
        }
        None => format!("there is no song: {}", warnings.join("; ")),
    }
}

/// Where a further file of the song goes: `song.mid` and `midi/<taskId>/01-drums.mid` give `song-01-drums.mid`.
fn beside(output: &Path, object: &str) -> PathBuf {
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    let name = object.rsplit('/').next().unwrap_or_default();
    output.with_file_name(format!("{stem}-{name}"))
}

fn summary(song: &SongSummary, asked: TempoChoice) -> String {
    let tempo = &song.tempo;
    let key = song.key.as_ref().map_or("no clear key", |key| &key.name);
    let mut lines = format!(
        "{} notes, {:.1} s, {:.0} BPM, {}, {key}\n",
        song.notes, song.seconds, tempo.bpm, tempo.meter
    );
    if !tempo.inferred && matches!(asked, TempoChoice::Auto | TempoChoice::Near(_)) {
        let sure = tempo
            .confidence
            .map(|confidence| format!(" (confidence {confidence:.2})"));
        let sure = sure.unwrap_or_default();
        lines += &format!(
            "no steady beat was found{sure}: {:.0} BPM; --bpm sets another tempo\n",
            tempo.bpm
        );
    }
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
