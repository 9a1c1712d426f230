//! What is drawn before a schedule begins.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tokio::time::Instant;

use crate::provider::{Fate, Task};

pub const HOUR: u64 = 3600;
/// One schedule of so many has a task that is watched for 14 days, which takes as many calls as forty others.
pub const LONG: u64 = 300;

/// A callback, from the provider or from a forger.
#[derive(Debug, Clone)]
pub struct Callback {
    pub task: String,
    pub body: Vec<u8>,
    /// When the provider first sends it, from the beginning of the schedule.
    pub after: Duration,
    pub genuine: bool,
}

/// Somebody wants a task to be watched.
#[derive(Debug, Clone)]
pub struct Watcher {
    pub task: String,
    pub after: Duration,
    /// Writes the object first, as `midihook watch` does. Others only send a message.
    pub writes: bool,
}

/// All messages of a queue are lost.
#[derive(Debug, Clone, Copy)]
pub struct Purge {
    pub after: Duration,
    pub of: Purged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purged {
    RenderQueue,
    WatchQueue,
}

#[derive(Debug)]
pub struct Plan {
    /// The probability that a call goes wrong.
    pub chance: f64,
    pub callbacks: Vec<Callback>,
    pub watchers: Vec<Watcher>,
    /// The tasks as the provider sees them.
    pub tasks: BTreeMap<String, Task>,
    /// How many messages that nobody understands are in each queue.
    pub poison: usize,
    /// When the signing key is rotated.
    pub rotation: Option<Duration>,
    pub purge: Option<Purge>,
    /// Whether the stack has an API key of the provider.
    pub has_api_key: bool,
    /// For how long the provider refuses that key.
    pub key_refused_for: Duration,
}

impl Plan {
    pub fn new(seed: u64, rng: &mut fastrand::Rng) -> Self {
        let is_long = seed.is_multiple_of(LONG);
        let has_api_key = !is_long || rng.bool();
        let seconds = |rng: &mut fastrand::Rng, range| Duration::from_secs(rng.u64(range));

        let mut callbacks = Vec::new();
        let mut names = Vec::new();
        for task in 0..if is_long { 1 } else { rng.usize(1..3) } {
            let task = format!("task-{task}");
            for _ in 0..rng.usize(1..4) {
                let late = if rng.u8(0..8) == 0 { 2 * HOUR } else { 90 };
                callbacks.push(Callback {
                    body: body(rng, &task),
                    task: task.clone(),
                    after: Duration::from_millis(rng.u64(0..late * 1000)),
                    genuine: true,
                });
            }
            names.push(task);
        }
        for _ in 0..rng.usize(0..3) {
            callbacks.push(Callback {
                task: "forged".to_owned(),
                body: body(rng, "forged"),
                after: Duration::from_millis(rng.u64(0..90_000)),
                genuine: false,
            });
        }

        let mut watchers = Vec::new();
        for task in 0..if is_long { 1 } else { rng.usize(0..2) } {
            names.push(format!("watched-{task}"));
        }
        for task in &names {
            // A task that calls back may be watched too, and a task may be watched twice.
            for _ in 0..if task.starts_with("watched") {
                rng.usize(1..3)
            } else {
                rng.usize(0..2)
            } {
                watchers.push(Watcher {
                    task: task.clone(),
                    after: seconds(rng, 0..200),
                    writes: rng.bool(),
                });
            }
        }
        let tasks = names.into_iter().map(|task| {
            let fate = match rng.u8(0..10) {
                _ if is_long && task.starts_with("watched") => Fate::Pending,
                0..5 => Fate::Song(rng.u8(50..52)),
                5 => Fate::Empty,
                6..9 => Fate::Failed,
                _ => Fate::Unknown,
            };
            // Long enough before the hour after which the provider is believed.
            let known_after = if rng.u8(0..4) == 0 {
                seconds(rng, 1..3000)
            } else {
                Duration::ZERO
            };
            let record = Task {
                fate,
                known_at: Instant::now() + known_after,
                ends_at: Instant::now() + seconds(rng, 0..600),
            };
            (task, record)
        });
        let tasks = tasks.collect();
        let of = [Purged::RenderQueue, Purged::WatchQueue];
        Self {
            chance: [0.02, 0.1, 0.25, 0.4][rng.usize(0..4)],
            callbacks,
            watchers,
            tasks,
            poison: rng.usize(0..3),
            rotation: rng.bool().then(|| seconds(rng, 1..120)),
            purge: rng.bool().then(|| Purge {
                after: seconds(rng, 0..1200),
                of: of[rng.usize(0..2)],
            }),
            has_api_key,
            key_refused_for: if rng.u8(0..4) == 0 {
                seconds(rng, 1..3000)
            } else {
                Duration::ZERO
            },
        }
    }
}

/// A body of any kind.
fn body(rng: &mut fastrand::Rng, task: &str) -> Vec<u8> {
    let note = |pitch: u8| json!({"pitch": pitch, "start": "0.5", "end": 1, "velocity": 1});
    let success = |data: serde_json::Value| {
        let mut data = data;
        data["taskId"] = task.into();
        json!({"code": 200, "msg": "success", "data": data})
    };
    let mut body = match rng.u8(0..8) {
        0..4 => success(json!({"instruments": [{"name": "Violin", "notes": [note(rng.u8(50..52))]}]})),
        4 => success(json!({"instruments": []})),
        5 => success(json!({"audioWavUrl": "https://example.com/a.wav"})),
        6 => success(json!({"instruments": 7})),
        _ => json!({"code": 500 + u32::from(rng.u8(0..2)), "msg": "no", "taskId": task, "data": null}),
    };
    // Different bytes, but the same song.
    body["x"] = rng.u8(0..3).into();
    body.to_string().into_bytes()
}
