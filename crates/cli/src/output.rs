//! Standard output.

use std::io::{self, Write as _};

use anyhow::Context as _;

/// Writes to standard output. It is not an error if the reader stops reading (`| head -1`).
pub fn print(bytes: &[u8]) -> anyhow::Result<()> {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
