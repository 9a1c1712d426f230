//! An unsigned callback: not believed, but a reason to ask the provider now.
//!
//! It says that a task has ended. If the task is watched, its next look takes place at once. If not, nothing happens, so a
//! stranger can cause no question about a task that nobody watches, and at most one look in ten seconds at one that is.

use std::time::SystemTime;

use suno_midi::TaskId;

use crate::{
    archive::{Archive, ArchiveError, Loaded},
    intake::IntakeError,
    objects,
    queue::Queue,
    watch::{ASK_EVERY, Message, State, Watch, seconds},
};

/// How many times we read the object again because the reconciler wrote it meanwhile.
const CONFLICT_ATTEMPTS: u32 = 3;

/// Where watched tasks are.
#[derive(Debug)]
pub struct Tips {
    /// Has the object of each watched task.
    pub archive: Archive,
    /// Takes the message for the next look.
    pub watch_queue: Queue,
}

impl Tips {
    /// Has the reconciler look at the task, if it is watched. Returns whether it is.
    ///
    /// # Errors
    /// If S3 or SQS did not confirm. The looks that were planned take place nevertheless.
    pub async fn take(&self, task_id: &TaskId, now: SystemTime) -> Result<bool, IntakeError> {
        for _ in 0..CONFLICT_ATTEMPTS {
            let Some((mut watch, version)) = self.watched(task_id).await? else {
                return Ok(false);
            };
            if watch.had_a_tip_within(ASK_EVERY, now) {
                return Ok(true);
            }
            watch.last_tip = Some(seconds(now));
            let Ok(bytes) = watch.to_json() else {
                return Ok(false);
            };
            let object = objects::watch(task_id);
            if self.archive.replace(&object, bytes, Some(&version)).await?.is_none() {
                continue;
            }
            let delay = watch.must_not_ask_for(now);
            self.watch_queue
                .send_later(task_id, &Message::new(task_id.clone()), delay)
                .await?;
            break;
        }
        // Whoever writes the object each time is looking at the task.
        Ok(true)
    }

    /// The task and the version of its object, if it is watched now.
    async fn watched(&self, task_id: &TaskId) -> Result<Option<(Watch, String)>, ArchiveError> {
        let Loaded::Body(found) = self.archive.load(&objects::watch(task_id)).await? else {
            return Ok(None);
        };
        // What we cannot read is the reconciler's to report.
        let watch = Watch::read(task_id, &found.body).ok();
        Ok(watch
            .filter(|watch| watch.state == State::Watching)
            .map(|watch| (watch, found.etag)))
    }
}
