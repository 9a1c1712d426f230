//! The keys of objects in the bucket.
//!
//! The keys of results, `midi/<taskId>.…`, are part of the result document ([`suno_midi::document`]).

use suno_midi::{Digest, TaskId, document::RESULTS};

/// The prefix of bodies.
pub const BODIES: &str = "raw/";

/// The prefix of watched tasks.
pub const WATCHES: &str = "watch/";

const EXTENSION: &str = ".json";

/// The key of a body: `raw/<taskId>/<sha256 of the body, hex>.json`. If a task has the same body twice, it is one
/// object.
pub fn body(task_id: &TaskId, body: &[u8]) -> String {
    format!("{}{}{EXTENSION}", bodies_of(task_id), Digest::of(body))
}

/// The prefix of all bodies of a task.
pub fn bodies_of(task_id: &TaskId) -> String {
    format!("{BODIES}{task_id}/")
}

/// The key of a watched task: `watch/<taskId>.json`.
pub fn watch(task_id: &TaskId) -> String {
    format!("{WATCHES}{task_id}{EXTENSION}")
}

/// The task whose body has this key; `None` if it is not the key of a body.
pub fn task_of_body(key: &str) -> Option<TaskId> {
    let (task_id, name) = key.strip_prefix(BODIES)?.split_once('/')?;
    let stem = name.strip_suffix(EXTENSION)?;
    (!stem.is_empty() && !stem.contains('/')).then(|| task_id.parse().ok())?
}

/// The task that is watched in the object with this key; `None` if it is not the key of a watched task.
pub fn task_of_watch(key: &str) -> Option<TaskId> {
    key.strip_prefix(WATCHES)?.strip_suffix(EXTENSION)?.parse().ok()
}

/// The task whose result document has this key; `None` if it is not the key of a result document.
pub fn task_of_result(key: &str) -> Option<TaskId> {
    key.strip_prefix(RESULTS)?.strip_suffix(EXTENSION)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_task() {
        let task: TaskId = "a.b".parse().unwrap();
        let key = body(&task, b"{}");
        assert_eq!(
            key,
            "raw/a.b/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a.json"
        );
        let document = suno_midi::document::object_name(&task, suno_midi::format::DOCUMENT);
        for found in [
            task_of_body(&key),
            task_of_body("raw/a.b/by-hand.json"),
            task_of_watch(&watch(&task)),
            task_of_result(&document),
        ] {
            assert_eq!(found, Some(task.clone()));
        }
    }

    #[test]
    fn other_keys_have_none() {
        for other in [
            "raw/a.json",
            "raw/a/b/c.json",
            "raw/../b.json",
            "raw/a/b.txt",
            "raw/a/.json",
            "raw//b.json",
            "midi/a.mid",
            "midi/a/b.json",
            "midi/.json",
            "watch/a.txt",
            "watch/a/b.json",
            "watch/.json",
        ] {
            for found in [task_of_body(other), task_of_watch(other), task_of_result(other)] {
                assert_eq!(found, None, "{other}");
            }
        }
    }
}
