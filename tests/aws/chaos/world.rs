//! Who acts in a schedule: the provider that calls back, people who watch tasks, the functions and their triggers.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use midihook::{
    aws::config,
    aws::queue::Queue as Sqs,
    aws::secrets::FORCED_REREAD_AFTER,
    bucket::Bucket,
    bucket::keys::{self, task_of_body},
    bucket::watches::{Watch, WatchError, WatchSource, WatchState},
    messages::check::{self, CheckMessage},
    messages::job::Job,
    receiver::{DEADLINE, Receiver},
    reconciler::{self, Reconciler},
    renderer::Renderer,
    time::since_epoch,
};
use suno_midi::{RenderRequest, TaskId, provider::signature::SigningKey};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::plan::{Callback, Plan, Purge, Purged, Watcher};
use crate::{
    fake::{Aws, BUCKET, QUEUE_URL, WATCH_URL, sqs_event},
    provider::Provider,
    queue::{Message, Queue},
    receiver::{request, verdict},
    reconciler::arrived,
};

pub const OLD_KEY: &str = "old-key";
const NEW_KEY: &str = "new-key";
/// How a message begins that nobody understands. Purges leave it, so that we know how many there are.
pub const POISON: &str = "poison";
const DAY: Duration = Duration::from_secs(86_400);

/// As in template.yaml.
const TIMEOUT: Duration = Duration::from_secs(60);
const WATCH_DELAY: Duration = Duration::from_secs(120);
/// How often the provider calls.
const TRIES: u32 = 3;
/// A schedule ends earlier, or something circulates: no task is watched for more than 14 days, and then again because a
/// dead letter was moved back.
const LONGEST: Duration = Duration::from_secs(45 * 86_400);

#[derive(Clone, Copy)]
pub enum Kind {
    Renderer,
    Reconciler,
}

/// A function that a queue triggers.
enum Function {
    Renderer(Renderer),
    Reconciler(Reconciler),
}

/// Everything that happens in one schedule.
pub struct World {
    pub aws: Aws,
    pub provider: Provider,
    pub has_api_key: bool,
    rng: RefCell<fastrand::Rng>,
    pub began: Instant,
    /// The receivers that wait for a request, each with its process.
    idle: RefCell<Vec<(Aws, Receiver)>>,
    pub render: Queue,
    pub watch: Queue,
    pub workers: RefCell<Vec<JoinHandle<()>>>,
    /// How many messages of the account have been moved to the queues, and how many objects have had their event.
    taken: Cell<(usize, usize)>,
    events: Cell<u32>,
    forged: bool,
    rotated_at: Cell<Option<Instant>>,
    /// The names of the bodies that were answered 200.
    pub accepted: RefCell<BTreeSet<String>>,
    /// The tasks whose message the watch queue took, unless it was purged before anybody looked.
    pub watched: RefCell<BTreeSet<TaskId>>,
    pub purged: Cell<Option<Purged>>,
    /// The tasks whose render jobs were lost.
    pub lost: RefCell<BTreeSet<TaskId>>,
    /// The tasks that ever had a dead letter.
    pub died: RefCell<BTreeSet<TaskId>>,
    /// What musicians asked for, and of which bodies.
    pub asked: RefCell<Vec<(String, RenderRequest)>>,
    pub requests: Cell<u64>,
    pub deliveries: Cell<u64>,
    /// How often each task was looked at, and how often somebody or something began that.
    pub looks: RefCell<BTreeMap<TaskId, u64>>,
    pub causes: RefCell<BTreeMap<TaskId, u64>>,
}

impl World {
    pub fn new(aws: Aws, provider: Provider, plan: &Plan, rng: fastrand::Rng) -> Rc<Self> {
        Rc::new(Self {
            aws,
            provider,
            has_api_key: plan.has_api_key,
            rng: RefCell::new(rng),
            began: Instant::now(),
            idle: RefCell::default(),
            render: Queue::default(),
            watch: Queue::default(),
            workers: RefCell::default(),
            taken: Cell::default(),
            events: Cell::default(),
            forged: plan.callbacks.iter().any(|callback| !callback.genuine),
            rotated_at: Cell::default(),
            accepted: RefCell::default(),
            watched: RefCell::default(),
            purged: Cell::default(),
            lost: RefCell::default(),
            died: RefCell::default(),
            asked: RefCell::default(),
            requests: Cell::default(),
            deliveries: Cell::default(),
            looks: RefCell::default(),
            causes: RefCell::default(),
        })
    }

    fn chance(&self, chance: f64) -> bool {
        self.rng.borrow_mut().f64() < chance
    }

    fn seconds(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_secs(self.rng.borrow_mut().u64(range))
    }

    /// The provider: up to three tries, or more if it did not receive our 200.
    pub async fn send(self: Rc<Self>, callback: Callback) {
        sleep(callback.after).await;
        for _ in 0..TRIES {
            let status = self.deliver(&callback).await;
            match status {
                Some(200) => {
                    assert!(callback.genuine, "a forged callback was accepted");
                    let key = keys::body(&callback.task.parse().unwrap(), &callback.body);
                    self.accepted.borrow_mut().insert(key.clone());
                    while self.chance(0.3) {
                        self.ask(&key);
                    }
                    // Sometimes the 200 is lost, or the provider calls again anyway.
                    if !self.chance(0.2) {
                        return;
                    }
                }
                Some(401) => assert!(
                    !callback.genuine || self.a_forged_callback_may_hide_the_rotation(),
                    "a genuine callback was taken for a forged one"
                ),
                None | Some(503) => {}
                Some(other) => panic!("answered {other}"),
            }
            sleep(self.seconds(0..40)).await;
        }
    }

    /// The one gap: if the keys were re-read moments ago, a rotation can go unnoticed for [`FORCED_REREAD_AFTER`].
    fn a_forged_callback_may_hide_the_rotation(&self) -> bool {
        let just_now = |at: Instant| at.elapsed() < FORCED_REREAD_AFTER + DEADLINE;
        self.forged && self.rotated_at.get().is_some_and(just_now)
    }

    pub async fn rotate(self: Rc<Self>, after: Duration) {
        sleep(after).await;
        let mut state = self.aws.state();
        state.signing_keys.insert("AWSPREVIOUS", OLD_KEY.to_owned());
        state.signing_keys.insert("AWSCURRENT", NEW_KEY.to_owned());
        self.rotated_at.set(Some(Instant::now()));
    }

    /// Sends one request to a receiver. Returns the status, or `None` if the receiver's process ended.
    async fn deliver(&self, callback: &Callback) -> Option<u16> {
        self.requests.set(self.requests.get() + 1);
        let idle = self.idle.borrow_mut().pop();
        let (process, receiver) = match idle {
            Some(warm) => warm,
            None => self.cold_receiver().await?,
        };
        let clock = self.aws.state().clock.now();
        let now = since_epoch(clock).as_secs();
        // The provider signs with its newest key.
        let rotated = self.aws.state().signing_keys["AWSCURRENT"] == NEW_KEY;
        let key = match (callback.genuine, rotated) {
            (false, _) => "a stranger's key",
            (true, false) => OLD_KEY,
            (true, true) => NEW_KEY,
        };
        let signature = SigningKey::new(key).unwrap().sign(&callback.task, &now.to_string());
        let request = request(callback.body.clone(), &now.to_string(), &signature);
        let began = Instant::now();
        let status = tokio::select! {
            biased;
            () = process.killed() => return None,
            status = verdict(&receiver, &request, clock) => status,
        };
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "answered after {:?}",
            began.elapsed()
        );
        self.idle.borrow_mut().push((process, receiver));
        Some(status)
    }

    /// A new process that has done what a receiver does before its first event; `None` if the process ended.
    async fn cold_receiver(&self) -> Option<(Aws, Receiver)> {
        let process = self.aws.process();
        let receiver = process.receiver();
        let clock = self.aws.state().clock.now();
        tokio::select! {
            biased;
            () = process.killed() => None,
            () = receiver.prepare(clock) => Some((process, receiver)),
        }
    }

    /// A musician wants the song of a body otherwise. A request may reach the queue later than one that was made after it.
    fn ask(&self, key: &str) {
        const OPTIONS: [&str; 4] = [
            "{}",
            r#"{"tempo":"92"}"#,
            r#"{"key":"Ebm","split":true}"#,
            r#"{"split":true,"quantize":"1/16"}"#,
        ];
        let options = self.rng.borrow_mut().choice(OPTIONS).unwrap();
        let asked = RenderRequest {
            // At most one a millisecond.
            at: loop {
                let at = 1 + self.rng.borrow_mut().u64(0..200_000);
                if self.asked.borrow().iter().all(|(_, asked)| asked.at != at) {
                    break at;
                }
            },
            options: serde_json::from_str(options).unwrap(),
        };
        let job = Job::new(task_of_body(key).unwrap(), BUCKET, key.to_owned()).with_request(asked);
        self.render.send(serde_json::to_string(&job).unwrap(), Duration::ZERO);
        self.asked.borrow_mut().push((key.to_owned(), asked));
    }

    /// Somebody watches a task, and tries again until the queue has the message.
    pub async fn begin_to_watch(self: Rc<Self>, watcher: Watcher) {
        sleep(watcher.after).await;
        let task: TaskId = watcher.task.parse().unwrap();
        loop {
            self.note_cause(&task);
            let process = self.aws.process();
            let is_accepted = tokio::select! {
                biased;
                () = process.killed() => false,
                is_accepted = self.try_to_watch(&process, &task, watcher.writes) => is_accepted,
            };
            if is_accepted {
                self.watched.borrow_mut().insert(task);
                return;
            }
            sleep(self.seconds(0..40)).await;
        }
    }

    /// Whether the watch queue has the message; and before, if the watcher writes it, the bucket the object.
    async fn try_to_watch(&self, process: &Aws, task: &TaskId, writes: bool) -> bool {
        let config = process.config(reconciler::TIMEOUTS);
        let bucket = Bucket::new(config::s3(&config), BUCKET.to_owned());
        let queue = Sqs::new(aws_sdk_sqs::Client::new(&config), WATCH_URL.to_owned());
        let message = CheckMessage::new(task.clone());
        if !writes {
            return queue.send(task, &message).await.is_ok();
        }
        let now = self.aws.state().clock.now();
        let (watch, version) = match bucket.watch(task).await {
            Ok(None) => (Watch::new(task.clone(), WatchSource::Cli, now), None),
            Ok(Some((watch, version))) => (watch, Some(version)),
            Err(WatchError::Aws(_)) => return false,
            Err(error) => panic!("{error}"),
        };
        let is_watched = version.is_some() && watch.state == WatchState::Watching;
        let watch = watch.again(WatchSource::Cli, now);
        let is_written = is_watched || matches!(bucket.put_watch(&watch, version.as_deref()).await, Ok(Some(_)));
        is_written && queue.send_now(task, &message).await.is_ok()
    }

    fn note_cause(&self, task: &TaskId) {
        *self.causes.borrow_mut().entry(task.clone()).or_default() += 1;
    }

    /// A queue is purged. If it was the watch queue, an operator resumes what it had watched.
    pub async fn purge(self: Rc<Self>, purge: Purge) {
        sleep(purge.after).await;
        self.purged.set(Some(purge.of));
        match purge.of {
            Purged::RenderQueue => {
                // A musician whose request is lost would ask again, so requests stay.
                self.render
                    .purge(|job| !job.contains(r#""asked""#) && !job.starts_with(POISON));
                let state = self.aws.state();
                let bodies = state.objects.keys().filter_map(|key| task_of_body(key));
                self.lost.borrow_mut().extend(bodies);
            }
            Purged::WatchQueue => {
                self.watch.purge(|message| !message.starts_with(POISON));
                // Of those that only sent a message, some may have sent it in vain.
                let before: Vec<TaskId> = self.watched.borrow().iter().cloned().collect();
                sleep(self.seconds(300..900)).await;
                let objects = &self.aws.state().objects;
                let mut watched = self.watched.borrow_mut();
                watched.retain(|task| !before.contains(task) || objects.contains_key(&keys::watch(task)));
                for (key, object) in objects {
                    let Some(task) = keys::task_of_watch(key) else {
                        continue;
                    };
                    let watch = Watch::read(&task, &object.body).unwrap();
                    if watch.state == WatchState::Watching {
                        self.note_cause(&task);
                        let message = serde_json::to_string(&CheckMessage::next(&watch)).unwrap();
                        self.watch.send(message, Duration::ZERO);
                    }
                }
            }
        }
    }

    /// AWS itself: moves messages to the queues, and tells of each body that was stored.
    pub async fn carry(self: Rc<Self>) {
        loop {
            self.aws.changed().await;
            let (messages, written) = self.taken.get();
            let state = self.aws.state();
            for ((queue, body), delay) in state.messages.iter().zip(&state.delays).skip(messages) {
                match queue.as_str() {
                    QUEUE_URL => self.render.send(body.clone(), Duration::ZERO),
                    WATCH_URL => self.watch.send(body.clone(), delay.unwrap_or(WATCH_DELAY)),
                    _ => {}
                }
            }
            for (key, _) in state.written.iter().skip(written) {
                if let Some(task) = task_of_body(key) {
                    // At least once.
                    for _ in 0..if self.chance(0.15) { 2 } else { 1 } {
                        self.note_cause(&task);
                        self.events.set(self.events.get() + 1);
                        tokio::task::spawn_local(self.clone().tell(arrived(BUCKET, key)));
                    }
                }
            }
            self.taken.set((state.messages.len(), state.written.len()));
        }
    }

    /// EventBridge: an event may take its time.
    async fn tell(self: Rc<Self>, event: String) {
        let slowest = if self.chance(0.1) { 3600 } else { 20 };
        sleep(self.seconds(0..slowest)).await;
        self.watch.send(event, WATCH_DELAY);
        self.events.set(self.events.get() - 1);
    }

    /// A function and its trigger: receives messages, in nearly any order, at least once.
    pub async fn work(self: Rc<Self>, kind: Kind) {
        let queue = match kind {
            Kind::Renderer => &self.render,
            Kind::Reconciler => &self.watch,
        };
        let mut warm = None;
        while let Some(message) = queue.receive(|count| self.rng.borrow_mut().usize(0..count)).await {
            let poll = self.rng.borrow_mut().u64(0..700);
            sleep(Duration::from_millis(poll)).await;
            self.note_delivery(kind, &message);
            let (process, function) = warm.take().unwrap_or_else(|| self.function(kind));
            let done = self.invoke(&process, &function, &message.body).await;
            warm = done.is_some().then_some((process, function));
            match done {
                // Sometimes SQS delivers a deleted message again.
                Some(true) => queue.done(message, self.chance(0.05)),
                Some(false) | None => queue.failed(message),
            }
        }
    }

    fn note_delivery(&self, kind: Kind, message: &Message) {
        self.deliveries.set(self.deliveries.get() + 1);
        if let (Kind::Reconciler, Ok(requests)) = (kind, check::read(&message.body)) {
            for request in requests {
                *self.looks.borrow_mut().entry(request.task_id).or_default() += 1;
            }
        }
    }

    fn function(&self, kind: Kind) -> (Aws, Function) {
        let process = self.aws.process();
        let provider = self.has_api_key.then(|| self.provider.connection());
        let function = match kind {
            Kind::Renderer => Function::Renderer(process.renderer()),
            Kind::Reconciler => Function::Reconciler(process.reconciler(provider)),
        };
        (process, function)
    }

    /// Whether a function is done with the message; `None` if its process ended.
    async fn invoke(&self, process: &Aws, function: &Function, body: &str) -> Option<bool> {
        let now = self.aws.state().clock.now();
        let handled = async {
            match function {
                Function::Renderer(renderer) => renderer.handle(sqs_event(&[body]), now).await,
                Function::Reconciler(reconciler) => reconciler.handle(sqs_event(&[body]), now).await,
            }
        };
        let faults = self.provider.state().chance > 0.0;
        let killed_after = (faults && self.chance(0.05)).then(|| self.rng.borrow_mut().u64(0..3000));
        let response: SqsBatchResponse = tokio::select! {
            biased;
            () = process.killed() => return None,
            () = sleep(Duration::from_millis(killed_after.unwrap_or_default())), if killed_after.is_some() => return None,
            response = timeout(TIMEOUT, handled) => response.ok()?,
        };
        Some(response.batch_item_failures.is_empty())
    }

    /// Returns how many dead letters there were.
    pub fn move_dead_letters_back(&self) -> u64 {
        self.died.borrow_mut().extend(self.dead_tasks());
        self.render.move_dead_letters_back() + self.watch.move_dead_letters_back()
    }

    /// Waits until the queues have been empty for so long that no late message can come. Dead letters are moved back each
    /// day.
    pub async fn drained(&self) {
        let (mut empty_since, mut moved) = (None::<Instant>, Instant::now());
        while empty_since.is_none_or(|since| since.elapsed() < Duration::from_secs(90)) {
            let soon = Instant::now() + Duration::from_secs(1);
            let next = [&self.render, &self.watch]
                .map(Queue::next_visible)
                .into_iter()
                .flatten()
                .min();
            sleep_until(next.map_or(soon, |next| next.max(soon))).await;
            let is_empty = self.render.is_idle() && self.watch.is_idle() && self.events.get() == 0;
            empty_since = is_empty.then(|| empty_since.unwrap_or_else(Instant::now));
            if moved.elapsed() >= DAY {
                self.move_dead_letters_back();
                moved = Instant::now();
            }
            assert!(self.began.elapsed() < LONGEST, "something circulates");
            let workers = self.workers.borrow();
            assert!(workers.iter().all(|worker| !worker.is_finished()), "a worker panicked");
        }
    }
}
