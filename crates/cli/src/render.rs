//! `midihook render`: converts a saved callback, without AWS.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use suno_midi::{
    Options, TaskId, convert_read,
    document::{SongSummary, State},
    format::{MIDI, PART, PIANO_ROLL, QUANTIZED},
    options::{Quantize, TempoChoice},
    provider::callback::read_with_task_ids,
};

use crate::{
    Refused, WrongUsage, input,
    options::{self, OptionArgs},
    output::{self, Output, print},
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
    /// Also write a picture of the song, a piano roll (SVG); - for standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the result document (JSON) on standard output instead of a summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: OptionArgs,
}

const EXAMPLES: &str = concat!(
    "\
Examples:
  midihook render callback.json                write <taskId>.mid here
  midihook render callback.json -o song.mid    write song.mid
  midihook render callback.json --svg song.svg write a picture of it too
  curl … | midihook render - -o - > song.mid   read from and write to a pipe
  midihook render callback.json --json         print the result document
  midihook render callback.json --bpm 92       at 92 BPM

",
    options::examples!(),
    "\n\nWith -o song.mid, --split writes song-01-drums.mid and so on, and --quantize writes song-quantized.mid."
);

pub fn run(args: &Args) -> anyhow::Result<()> {
    let options = Options {
        // The document names every file of a song.
        piano_roll: args.svg.is_some() || args.json,
        ..args.options.options().into()
    };
    let render = &options.render;
    let to_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
    let (midi_to_stdout, svg_to_stdout) = (to_stdout(&args.output), to_stdout(&args.svg));
    let print_to = [
        (args.json, "--json"),
        (midi_to_stdout, "-o -"),
        (svg_to_stdout, "--svg -"),
    ];
    let print_to: Vec<&str> = print_to
        .into_iter()
        .filter(|(is_asked, _)| *is_asked)
        .map(|(_, name)| name)
        .collect();
    if print_to.len() > 1 {
        let all = print_to.join(" and ");
        return Err(WrongUsage(format!("{all} write to standard output: use only one of them")).into());
    }
    if midi_to_stdout && (render.split == Some(true) || render.quantize.unwrap_or_default() != Quantize::Off) {
        let why = "--split and --quantize write more files beside the output: give it a name with -o instead of -";
        return Err(WrongUsage(why.to_owned()).into());
    }
    output::check_stdout(&args.file)?;
    let body = input::read(&args.file)?;
    let (ids, read) = read_with_task_ids(&body);
    let (task_id, note) = name(input::sole(&ids)?)?;
    let outcome = convert_read(&task_id, &body, read, &options);
    let document = &outcome.document;

    let Some(midi) = outcome.file(MIDI) else {
        if args.json {
            print(&document.to_json())?;
        }
        let failure = document.failure.as_ref();
        let failure = failure.map(|failure| (failure.code, failure.message.as_str()));
        let why = no_song(failure, &document.warnings, &document.members);
        return Err(match document.state {
            State::Pending => anyhow!(why),
            _ => Refused(why).into(),
        });
    };
    let mut files = Vec::new();
    if !midi_to_stdout {
        let path = args.output.clone().unwrap_or_else(|| format!("{task_id}.mid").into());
        let further = outcome
            .files
            .iter()
            .filter(|file| [QUANTIZED, PART].contains(&file.format));
        let further = further.map(|file| (beside(&path, &file.object), file.bytes.as_slice()));
        let all = [(path.clone(), midi.bytes.as_slice())].into_iter().chain(further);
        files.extend(all.map(|(path, bytes)| Output { path, bytes }));
    }
    let piano_roll = outcome.file(PIANO_ROLL);
    if let (Some(path), Some(piano_roll), false) = (&args.svg, piano_roll, svg_to_stdout) {
        let (path, bytes) = (path.clone(), piano_roll.bytes.as_slice());
        files.push(Output { path, bytes });
    }
    output::write(&files, &args.file)?;
    match piano_roll.filter(|_| svg_to_stdout) {
        Some(piano_roll) => print(&piano_roll.bytes)?,
        None if midi_to_stdout => print(&midi.bytes)?,
        None if args.json => print(&document.to_json())?,
        None => {
            let song = document.song.as_ref();
            let mut report = song
                .map(|song| summary(song, render.tempo.unwrap_or_default()))
                .unwrap_or_default();
            for file in &files {
                report += &format!("wrote {}\n", file.path.display());
            }
            print(report.as_bytes())?;
        }
    }
    for warning in note.iter().filter(|_| args.output.is_none()).chain(&document.warnings) {
        eprintln!("note: {warning}");
    }
    Ok(())
}

/// What to call the song, and what to say about that. The id names the file, and nothing depends on it.
fn name(id: Option<&str>) -> anyhow::Result<(TaskId, Option<String>)> {
    // A file that was reduced to the notes has no task id.
    let unnamed = "song".parse()?;
    Ok(match id.map(str::parse) {
        None => (unnamed, None),
        Some(Ok(task_id)) => (task_id, None),
        Some(Err(unfit)) => {
            let why = format!("the task id in the input cannot name a file, so the song is called \"song\": {unfit}");
            (unnamed, Some(why))
        }
    })
}

/// Why there is no song: what the provider said (its code and message), or else what midihook noticed. `members` are the
/// names of a body that it cannot read.
pub fn no_song(failure: Option<(Option<i64>, &str)>, warnings: &[String], members: &[String]) -> String {
    let why = match failure {
        Some((code, message)) => {
            let code = code.map(|code| format!(" (code {code})")).unwrap_or_default();
            let message = if message.is_empty() {
                "it gave no reason"
            } else {
                message
            };
            format!("the provider reported a failure{code}: {message}")
        }
        None => warnings.join("; "),
    };
    let members = match members {
        [] => String::new(),
        names => format!("\n  members: {}", names.join(", ")),
    };
    format!("there is no song: {why}{members}")
}

/// Where a further file of the song goes: `song.mid` and `midi/<taskId>/01-drums.mid` give `song-01-drums.mid`.
fn beside(output: &Path, object: &str) -> PathBuf {
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    let name = object.rsplit('/').next().unwrap_or_default();
    output.with_file_name(format!("{stem}-{name}"))
}

fn summary(song: &SongSummary, requested: TempoChoice) -> String {
    let tempo = &song.tempo;
    let key = song.key.as_ref().map_or("no clear key", |key| &key.name);
    let mut lines = format!(
        "{} notes, {:.1} s, {:.0} BPM, {}, {key}\n",
        song.notes, song.seconds, tempo.bpm, tempo.meter
    );
    if !tempo.inferred && matches!(requested, TempoChoice::Auto | TempoChoice::Near(_)) {
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
