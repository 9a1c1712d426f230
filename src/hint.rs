//! A callback as a hint: nothing of it is believed or stored; the reconciler polls the provider now.

use std::time::{Duration, SystemTime};

use suno_midi::TaskId;

use crate::{
    aws::{Error, queue::Queue},
    bucket::{
        Bucket,
        watches::{Watch, WatchError, WatchSource, WatchState},
    },
    messages::check::CheckMessage,
    time::seconds,
};

/// How many times we read the object again because the reconciler wrote it meanwhile.
const CONFLICT_ATTEMPTS: u32 = 3;

/// Where hints go.
#[derive(Debug)]
pub struct Hints {
    /// Has the object of each watched task.
    pub bucket: Bucket,
    /// Takes the message for a check.
    pub watch_queue: Queue,
}

impl Hints {
    /// Has a watched task checked now, but at most once in ten seconds. If the task is not watched, its watch begins if
    /// `begins_watch`. Returns whether the watch queue has the task.
    ///
    /// # Errors
    /// If S3 or SQS did not confirm. The planned checks of a watched task take place nevertheless.
    pub async fn take(&self, task_id: &TaskId, begins_watch: bool, now: SystemTime) -> Result<bool, Error> {
        for _ in 0..CONFLICT_ATTEMPTS {
            let found = match self.bucket.watch(task_id).await {
                Ok(found) => found,
                Err(WatchError::Aws(error)) => return Err(error),
                // What we cannot read is the reconciler's to report.
                Err(WatchError::NotAWatch { .. } | WatchError::TooLarge(_)) if begins_watch => {
                    self.send(task_id, Duration::ZERO).await?;
                    return Ok(true);
                }
                Err(_) => return Ok(false),
            };
            let is_watched = matches!(&found, Some((watch, _)) if watch.state == WatchState::Watching);
            if !is_watched && !begins_watch {
                return Ok(false);
            }
            let (mut watch, version) = match found {
                Some((watch, version)) => (watch, Some(version)),
                None => (Watch::new(task_id.clone(), WatchSource::Callback, now), None),
            };
            if watch.has_hint(now) {
                return Ok(true);
            }
            watch.last_hint = Some(seconds(now));
            // No check is planned for a task that is not watched: without the message, the object would promise one.
            if !is_watched {
                self.send(task_id, watch.until_poll(now)).await?;
            }
            let written = self.bucket.put_watch(&watch, version.as_deref()).await;
            match written {
                Ok(_) if !is_watched => {}
                Ok(None) => continue,
                // One of the hints that come together has written the object, and sends the message.
                Ok(Some(_)) => self.send(task_id, watch.until_poll(now)).await?,
                Err(WatchError::Aws(error)) => return Err(error),
                Err(_) => return Ok(false),
            }
            return Ok(true);
        }
        // Someone else keeps updating the object, so a check is already running.
        Ok(true)
    }

    async fn send(&self, task_id: &TaskId, delay: Duration) -> Result<(), Error> {
        self.watch_queue
            .send_later(task_id, &CheckMessage::new(task_id.clone()), delay)
            .await
    }
}
