//! Standard output.

#[cfg(feature = "stack")]
use std::io::IsTerminal as _;
use std::io::{self, Write as _};

use anyhow::Context as _;

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
