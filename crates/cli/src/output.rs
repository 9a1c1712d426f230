//! Standard output.

#[cfg(feature = "stack")]
use std::io::IsTerminal as _;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use same_file::Handle;

use crate::WrongUsage;

/// Writes to standard output. It is not an error if the reader stops reading (`| head -1`).
pub fn print(bytes: &[u8]) -> anyhow::Result<()> {
    print_while_read(bytes).map(drop)
}

/// The same, for commands that only read: says whether anybody still reads the output.
pub fn print_while_read(bytes: &[u8]) -> anyhow::Result<bool> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// A file that a command writes.
pub struct Output<'a> {
    pub path: PathBuf,
    pub bytes: &'a [u8],
}

/// The file that a name reaches; `None` if it is none, or no file: a pipe, a terminal and /dev/null lose nothing.
fn regular(handle: io::Result<Handle>) -> Option<Handle> {
    handle.ok().filter(|handle| is_file(handle.as_file()))
}

fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

fn input_file(input: &Path) -> Option<Handle> {
    match input == Path::new("-") {
        true => regular(Handle::stdin()),
        // To open a named pipe again would wait for another writer.
        false if fs::metadata(input).is_ok_and(|metadata| metadata.is_file()) => regular(Handle::from_path(input)),
        false => None,
    }
}

/// Checks that standard output does not go into the input.
pub fn check_stdout(input: &Path) -> anyhow::Result<()> {
    match (input_file(input), regular(Handle::stdout())) {
        (Some(input), Some(stdout)) if input == stdout => {
            let why = "standard output and the input are the same file: let it go to another one";
            Err(WrongUsage(why.to_owned()).into())
        }
        _ => Ok(()),
    }
}

/// Writes files. Changes none of them if two names reach one file, or if one reaches the input or where standard output or
/// standard error go: by whatever link, and whatever a file system takes for the same name.
pub fn write(outputs: &[Output<'_>], input: &Path) -> anyhow::Result<()> {
    let others = [
        ("the input", input_file(input)),
        ("standard output", regular(Handle::stdout())),
        ("standard error", regular(Handle::stderr())),
    ];
    let others = others
        .into_iter()
        .filter_map(|(what, handle)| Some((what.to_owned(), handle?)));
    let mut taken: Vec<(String, Handle)> = others.collect();
    // Opening does not change a file, but makes one that is missing. Only then can it be told which file a name reaches.
    let mut made: Vec<PathBuf> = Vec::new();
    let opened = outputs.iter().try_fold(Vec::new(), |mut opened, output| {
        let path = output.path.as_path();
        let failed = || format!("cannot write {}", path.display());
        let is_new = fs::metadata(path).is_err();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(failed)?;
        if is_new {
            // What a link points to was made, not the link.
            made.push(fs::canonicalize(path).with_context(failed)?);
        }
        let handle = file.try_clone().and_then(Handle::from_file).with_context(failed)?;
        let is_taken = |(_, other): &&(String, Handle)| is_file(&file) && *other == handle;
        if let Some((what, _)) = taken.iter().find(is_taken) {
            let why = format!("{} and {what} are the same file: give it another name", path.display());
            return Err(WrongUsage(why).into());
        }
        taken.push((path.display().to_string(), handle));
        opened.push(file);
        anyhow::Ok(opened)
    });
    let opened = opened.inspect_err(|_| {
        for path in &made {
            let _ = fs::remove_file(path);
        }
    })?;
    for (mut file, output) in opened.into_iter().zip(outputs) {
        let written = overwrite(&mut file, output.bytes);
        written.with_context(|| format!("cannot write {}", output.path.display()))?;
    }
    Ok(())
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    // A pipe or a terminal has no length.
    if is_file(file) {
        file.set_len(0)?;
    }
    file.write_all(bytes)
}

/// The state of a task, on a terminal in a colour: green with a song, yellow if a song may come, red if none will.
#[cfg(feature = "stack")]
pub fn state(state: &str, is_open: bool, has_song: bool) -> String {
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let colour = match (has_song, is_open) {
        (true, _) => 32,
        (false, true) => 33,
        (false, false) => 31,
    };
    match colours {
        true => format!("\x1b[{colour}m{state}\x1b[0m"),
        false => state.to_owned(),
    }
}
