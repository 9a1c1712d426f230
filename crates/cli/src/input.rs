//! Reads the file that a command works on.

use std::{
    borrow::Cow,
    fs,
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use suno_midi::{TaskId, provider::task_ids::find_task_ids};

use crate::Refused;

/// All bytes of a file, or of standard input for `-`.
pub fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin()
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        return Ok(bytes);
    }
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The task id of a body, if it has one.
pub fn task_id(body: &[u8]) -> anyhow::Result<Option<TaskId>> {
    only(&find_task_ids(body))
}

/// The only one of these task ids of a body, if there is one.
pub fn only(ids: &[Cow<'_, str>]) -> anyhow::Result<Option<TaskId>> {
    match sole(ids)? {
        None => Ok(None),
        Some(id) => {
            Ok(Some(id.parse().map_err(|e| {
                Refused(format!("the task id in the input cannot be used: {e}"))
            })?))
        }
    }
}

/// The same for display: it need not be a task id that midihook can store.
pub fn sole<'a>(ids: &'a [Cow<'_, str>]) -> anyhow::Result<Option<&'a str>> {
    match ids {
        [] => Ok(None),
        [id] => Ok(Some(id)),
        several => {
            // They are a stranger's text.
            let ids: Vec<String> = several.iter().map(|id| id.escape_debug().to_string()).collect();
            Err(Refused(format!("the input names more than one task id: {}", ids.join(", "))).into())
        }
    }
}
