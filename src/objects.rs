//! The names of objects in the bucket.
//!
//! The names of results, `midi/<taskId>.…`, are part of the result document ([`suno_midi::document`]).

use suno_midi::{Digest, TaskId, document::RESULTS};

/// The prefix of archived bodies.
pub const RAW: &str = "raw/";

/// The prefix of watched tasks.
pub const WATCH: &str = "watch/";

const EXTENSION: &str = ".json";
const DECIDING: &str = "provider-";

/// The name of a body: `raw/<taskId>/<sha256 of the body, hex>.json`. If a task has the same body twice, it is one
/// object.
pub fn raw(task_id: &TaskId, body: &[u8]) -> String {
    format!("{}{}{EXTENSION}", raw_of(task_id), Digest::of(body))
}

/// The name of an answer of the provider that decides over all callbacks: `raw/<taskId>/provider-<sha256>.json`.
///
/// Only the reconciler writes such a name, so no callback can have it.
pub fn deciding(task_id: &TaskId, answer: &[u8]) -> String {
    format!("{}{DECIDING}{}{EXTENSION}", raw_of(task_id), Digest::of(answer))
}

/// Whether a body has the name of an answer that decides over all callbacks.
pub fn is_deciding(object: &str) -> bool {
    let name = object.strip_prefix(RAW).and_then(|name| name.split_once('/'));
    name.is_some_and(|(_, name)| name.starts_with(DECIDING))
}

/// The prefix of all bodies of a task.
pub fn raw_of(task_id: &TaskId) -> String {
    format!("{RAW}{task_id}/")
}

/// The name of what is known of a watched task: `watch/<taskId>.json`.
pub fn watch(task_id: &TaskId) -> String {
    format!("{WATCH}{task_id}{EXTENSION}")
}

/// The task whose body has this name; `None` if it is not the name of a body.
pub fn task_of_raw(object: &str) -> Option<TaskId> {
    let (task_id, name) = object.strip_prefix(RAW)?.split_once('/')?;
    let stem = name.strip_suffix(EXTENSION)?;
    (!stem.is_empty() && !stem.contains('/')).then(|| task_id.parse().ok())?
}

/// The task that is watched in the object of this name; `None` if it is not the name of a watched task.
pub fn task_of_watch(object: &str) -> Option<TaskId> {
    object.strip_prefix(WATCH)?.strip_suffix(EXTENSION)?.parse().ok()
}

/// The task whose result document has this name; `None` if it is not the name of a result document.
pub fn task_of_result(object: &str) -> Option<TaskId> {
    object.strip_prefix(RESULTS)?.strip_suffix(EXTENSION)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_body_has_its_task_and_the_hash_of_its_bytes() {
        let object = raw(&"5c79".parse().unwrap(), b"{}");
        assert_eq!(
            object,
            "raw/5c79/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a.json"
        );
        assert_eq!(task_of_raw(&object).unwrap().as_str(), "5c79");
        assert_eq!(task_of_raw("raw/5c79/by-hand.json").unwrap().as_str(), "5c79");
        for other in [
            "raw/5c79.json",
            "midi/5c79.json",
            "raw/5c79/a/b.json",
            "raw/../b.json",
            "raw/5c79/b.txt",
            "raw/5c79/.json",
            "raw//b.json",
        ] {
            assert_eq!(task_of_raw(other), None, "{other}");
        }
    }

    #[test]
    fn no_callback_has_the_name_of_an_answer_that_decides() {
        let task = "provider-1".parse().unwrap();
        let object = deciding(&task, b"{}");
        assert!(
            object.starts_with("raw/provider-1/provider-44136fa355b3678a"),
            "{object}"
        );
        assert!(is_deciding(&object) && task_of_raw(&object) == Some(task.clone()));
        assert!(!is_deciding(&raw(&task, b"{}")));
        assert!(!is_deciding("midi/t/provider-1.json") && !is_deciding(""));
    }

    #[test]
    fn the_name_of_a_watched_task_has_its_task() {
        let task: TaskId = "a.b".parse().unwrap();
        assert_eq!(task_of_watch(&watch(&task)), Some(task));
        for other in ["watch/a.txt", "watch/a/b.json", "watch/.json", "midi/a.json"] {
            assert_eq!(task_of_watch(other), None, "{other}");
        }
    }

    #[test]
    fn the_name_of_a_document_has_its_task() {
        let document = suno_midi::document::object_name(&"a.b".parse().unwrap(), suno_midi::format::DOCUMENT);
        assert_eq!(task_of_result(&document).unwrap().as_str(), "a.b");
        for other in ["midi/a.mid", "midi/a/b.json", "midi/.json", "raw/a.json"] {
            assert_eq!(task_of_result(other), None, "{other}");
        }
    }
}
