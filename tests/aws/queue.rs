//! A queue of SQS in virtual time, as its trigger sees it: delays, visibility timeouts, dead letters, purges.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// As in template.yaml, for both queues.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(360);
const MAX_RECEIVES: u32 = 5;

#[derive(Debug)]
pub struct Message {
    pub body: String,
    receives: u32,
    /// How often the queue had been purged when the message was received.
    purges: u32,
}

/// Whether a purge deletes a message with this body.
type IsPurged = fn(&str) -> bool;

#[derive(Debug, Default)]
pub struct Queue {
    /// By the time from which they can be received, then in the order in which they came.
    waiting: RefCell<BTreeMap<(Instant, u64), Message>>,
    /// The dead-letter queue.
    dead: RefCell<Vec<String>>,
    in_work: Cell<usize>,
    sent: Cell<u64>,
    purges: Cell<u32>,
    /// Which messages the last purge deleted.
    purged: Cell<Option<IsPurged>>,
    closed: Cell<bool>,
    changed: Notify,
}

impl Queue {
    pub fn send(&self, body: String, delay: Duration) {
        self.put(
            Message {
                body,
                receives: 0,
                purges: 0,
            },
            delay,
        );
    }

    fn put(&self, message: Message, delay: Duration) {
        self.sent.set(self.sent.get() + 1);
        let key = (Instant::now() + delay, self.sent.get());
        self.waiting.borrow_mut().insert(key, message);
        self.changed.notify_waiters();
    }

    /// Waits for a message. `choose` chooses one of so many; `None` after the queue was closed.
    pub async fn receive(&self, mut choose: impl FnMut(usize) -> usize) -> Option<Message> {
        while !self.closed.get() {
            let now = Instant::now();
            let visible = {
                let waiting = self.waiting.borrow();
                let visible = || waiting.range(..=(now, u64::MAX));
                let count = visible().take(CHOICE).count();
                (count > 0)
                    .then(|| visible().nth(choose(count)).map(|(key, _)| *key))
                    .flatten()
            };
            if let Some(key) = visible {
                self.in_work.set(self.in_work.get() + 1);
                let message = self.waiting.borrow_mut().remove(&key)?;
                return Some(Message {
                    purges: self.purges.get(),
                    ..message
                });
            }
            let next = self.next_visible();
            tokio::select! {
                () = self.changed.notified() => {}
                () = async { sleep_until(next.expect("a message")).await }, if next.is_some() => {}
            }
        }
        None
    }

    /// The invocation ended well: the message is deleted. But sometimes it is received again all the same.
    pub fn done(&self, message: Message, again: bool) {
        match again {
            true => self.failed(message),
            false => self.in_work.set(self.in_work.get() - 1),
        }
    }

    /// The invocation failed: the message can be received again later, or goes to the dead-letter queue.
    pub fn failed(&self, mut message: Message) {
        self.in_work.set(self.in_work.get() - 1);
        let is_purged = self.purged.get().is_some_and(|purged| purged(&message.body));
        if message.purges < self.purges.get() && is_purged {
            return;
        }
        message.receives += 1;
        if message.receives == MAX_RECEIVES {
            self.dead.borrow_mut().push(message.body);
        } else {
            self.put(message, VISIBILITY_TIMEOUT);
        }
    }

    /// Deletes the messages for which this holds, those that were received included. Returns those that were not received.
    pub fn purge(&self, purged: IsPurged) -> Vec<String> {
        self.purges.set(self.purges.get() + 1);
        self.purged.set(Some(purged));
        let mut waiting = self.waiting.borrow_mut();
        let lost = waiting.extract_if(.., |_, message| purged(&message.body));
        lost.map(|(_, message)| message.body).collect()
    }

    /// What `midihook redrive` does. Returns how many messages were moved.
    pub fn move_dead_letters_back(&self) -> u64 {
        let dead = self.dead.take();
        let count = dead.len() as u64;
        for body in dead {
            self.send(body, Duration::ZERO);
        }
        count
    }

    pub fn dead(&self) -> Vec<String> {
        self.dead.borrow().clone()
    }

    /// Whether nothing waits and nothing is in work.
    pub fn is_idle(&self) -> bool {
        self.in_work.get() == 0 && self.waiting.borrow().is_empty()
    }

    /// When the next message can be received.
    pub fn next_visible(&self) -> Option<Instant> {
        self.waiting.borrow().first_key_value().map(|(&(at, _), _)| at)
    }

    /// Ends those who wait for messages.
    pub fn close(&self) {
        self.closed.set(true);
        self.changed.notify_waiters();
    }
}

/// The next message is one of so many at most: a standard queue is nearly in order.
const CHOICE: usize = 10;
