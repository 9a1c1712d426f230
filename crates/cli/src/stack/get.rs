//! `midihook get`: fetches the songs of tasks.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use midihook::bucket::{Bucket, Loaded, results::ResultDocument};
use suno_midi::TaskId;

use super::{
    advice,
    place::{self, StackArgs},
    progress,
    task::{Known, lack},
    when::TimeSpan,
};
use crate::{Refused, output::print};

/// Fetch the songs of tasks
///
/// Writes the files that the result document of each task names: the MIDI file, the picture, the document itself, and
/// what else was asked for. Files keep their bucket names without midi/ or raw/: <taskId>.mid, and
/// <taskId>/01-drums.mid. It appears under its name only when it is complete.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub struct Args {
    /// The ids of the tasks
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<TaskId>,
    /// The directory to write to; it is made if there is none
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Only files of these kinds: mid, svg, json (the result document); raw is the callback that decided
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    format: Vec<Kind>,
    /// Wait until each task has a result
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after this time
    #[arg(long, value_name = "TIME", default_value = "15m", requires = "wait")]
    timeout: TimeSpan,
    /// Print links to the files instead of fetching them. Anyone with a link can read the file, without credentials
    #[arg(long, conflicts_with = "output")]
    link: bool,
    /// With --link: how long a link works, at most 7d, and no longer than the login that signs it
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "link", value_parser = expiry)]
    expires: TimeSpan,
    #[command(flatten)]
    stack: StackArgs,
}

const EXAMPLES: &str = place::help!(
    "  midihook get 5c79c0ffeebe8e                       write its files here
  midihook get 5c79c0ffeebe8e --wait -o songs       wait for the song, write it to songs/
  midihook get 5c79c0ffeebe8e --format mid,raw      only MIDI files, and the callback that decided
  midihook get 5c79c0ffeebe8e --link --expires 1d   links for other people"
);

/// The pause between two tries.
const POLL: Duration = Duration::from_secs(3);

/// AWS's limit for a signed link.
const LONGEST_LINK: Duration = Duration::from_secs(7 * 86_400);

/// A kind of file.
#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// The files of the result whose names end so. A newer midihook may have kinds that we do not know.
    Extension(String),
    /// The callback that decided.
    Raw,
}

impl FromStr for Kind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_extension = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        match text {
            "raw" => Ok(Self::Raw),
            _ if is_extension => Ok(Self::Extension(text.to_owned())),
            _ => Err("write mid, svg, json or raw"),
        }
    }
}

fn expiry(text: &str) -> Result<TimeSpan, String> {
    let span: TimeSpan = text.parse()?;
    match span.0 {
        time if time.is_zero() || time > LONGEST_LINK => Err("a link works for 1s to 7d".to_owned()),
        _ => Ok(span),
    }
}

/// Why a task was not delivered.
struct Undelivered {
    why: String,
    /// Whether trying again may help.
    open: bool,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let bucket = args.stack.find().await?.bucket();
    let began = Instant::now();
    let bar = progress::waiting();
    let mut seen = BTreeSet::new();
    let mut tasks: Vec<&TaskId> = args.tasks.iter().filter(|task| seen.insert(*task)).collect();
    let mut undelivered: Vec<Undelivered> = Vec::new();
    loop {
        let mut open = Vec::new();
        undelivered.retain(|task| !task.open);
        for task in tasks {
            bar.set_message(format!("fetching {task}"));
            let outcome = match deliver(args, &bucket, task, &bar).await {
                // With `--wait`, transient errors are retried.
                Err(error) if args.wait && advice::is_transient(&error) => Err(Undelivered {
                    why: format!("{error:#}"),
                    open: true,
                }),
                outcome => outcome?,
            };
            if let Err(why) = outcome {
                if why.open {
                    open.push(task);
                }
                undelivered.push(why);
            }
        }
        tasks = open;
        if tasks.is_empty() || !args.wait || began.elapsed() >= args.timeout.0 {
            break;
        }
        let last = undelivered.iter().rev().find(|task| task.open);
        let last = last.and_then(|task| task.why.lines().next()).unwrap_or_default();
        bar.set_message(match tasks.len() {
            1 => format!("waiting: {last}"),
            several => format!("waiting for {several} tasks: {last}"),
        });
        tokio::time::sleep(POLL.min(args.timeout.0.saturating_sub(began.elapsed()))).await;
    }
    bar.finish_and_clear();
    match undelivered.as_slice() {
        [] => Ok(()),
        all => {
            let lines: Vec<&str> = all.iter().map(|task| task.why.as_str()).collect();
            let lines = lines.join("\n");
            match all.iter().any(|task| task.open) {
                true => Err(anyhow!(lines)),
                false => Err(Refused(lines).into()),
            }
        }
    }
}

/// Fetches what is wanted of a task, or links to it.
async fn deliver(
    args: &Args,
    bucket: &Bucket,
    task: &TaskId,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<Result<(), Undelivered>> {
    let known = Known::of(bucket, task).await?;
    let refuse = |why: String| {
        let advice = known.advice(task).map(|advice| format!("\n  {advice}"));
        Ok(Err(Undelivered {
            why: format!("task {task}: {why}{}", advice.unwrap_or_default()),
            open: known.is_open(),
        }))
    };
    let document = match (&known, known.lack()) {
        (Known::Result(document), lack) => {
            // Kinds that were named are fetched even if there is no song.
            if let Some(lack) = lack.filter(|_| args.format.is_empty() || known.is_open()) {
                return refuse(lack);
            }
            document
        }
        (_, lack) => return refuse(lack.unwrap_or_default()),
    };
    let objects = match wanted(&args.format, document) {
        Ok(objects) => objects,
        Err(why) => return refuse(why),
    };
    if args.link {
        for object in objects {
            let link = bucket.link(object, args.expires.0).await?;
            bar.suspend(|| print(format!("{link}\n").as_bytes()))?;
        }
        return Ok(Ok(()));
    }
    let paths: Vec<PathBuf> = objects.iter().map(|object| local(object)).collect::<Result<_, _>>()?;
    for (object, path) in objects.into_iter().zip(paths) {
        let path = args.output.join(path);
        match bucket.load(object).await? {
            Loaded::Found(file) => write(&path, &file.bytes)?,
            Loaded::TooLarge(bytes) => return refuse(format!("{object} has {bytes} bytes, which is too large")),
            Loaded::Missing => {
                return refuse(format!(
                    "{object} is not in the bucket any more; midihook replay {task} makes the result again"
                ));
            }
        }
        bar.suspend(|| print(format!("wrote {}\n", path.display()).as_bytes()))?;
    }
    for warning in &document.warnings {
        bar.suspend(|| eprintln!("note: task {task}: {warning}"));
    }
    Ok(Ok(()))
}

/// The object names of the files of these kinds, or of all files; or which kind there is not.
fn wanted<'a>(kinds: &[Kind], document: &'a ResultDocument) -> Result<Vec<&'a str>, String> {
    let files = document.object_keys();
    if kinds.is_empty() {
        return Ok(files.into_iter().collect());
    }
    let mut wanted = Vec::new();
    for kind in kinds {
        let before = wanted.len();
        match kind {
            Kind::Raw => wanted.extend(document.body_key()),
            Kind::Extension(kind) => wanted.extend(files.iter().filter(|file| extension(file) == kind)),
        }
        if wanted.len() > before {
            continue;
        }
        let kind = match kind {
            Kind::Raw => return Err("the result document names no callback".to_owned()),
            Kind::Extension(kind) => kind,
        };
        if !document.has_song() {
            return Err(lack(document));
        }
        let mut there: Vec<&str> = files.iter().map(|file| extension(file)).collect();
        there.sort_unstable();
        there.dedup();
        return Err(format!("there is no {kind} file; there are: {}", there.join(", ")));
    }
    Ok(wanted)
}

fn extension(object: &str) -> &str {
    object.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Where an object goes: its name without `midi/` or `raw/`. A writer to the bucket must not choose a place
/// outside of the directory.
fn local(object: &str) -> Result<PathBuf, Refused> {
    let unfit = |part: &str| {
        part.is_empty() || part.starts_with('.') || part.contains(|c: char| matches!(c, '\\' | ':') || c.is_control())
    };
    match object.split_once('/') {
        Some((_, name)) if !name.split('/').any(unfit) => Ok(name.split('/').collect()),
        _ => Err(Refused(format!(
            "the result document names {object:?}, which is not a name for a file: midihook did not write it"
        ))),
    }
}

/// Writes a file under another name first, so that no partial file is seen.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.{}.part", process::id()));
    let written = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    written().with_context(|| {
        let _ = fs::remove_file(&part);
        format!("cannot write {}", path.display())
    })
}
