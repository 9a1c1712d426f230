//! Schedules of callbacks, faults and crashes, drawn from a seed, and what must be true after each.
//!
//! Time is virtual: a schedule of minutes takes milliseconds. `CHAOS_SCHEDULES` is the number of schedules and
//! `CHAOS_SEED` the first seed. A failure prints the command that replays its schedule.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use midihook::{
    announcement::Announcement,
    clock::since_epoch,
    jobs::{self, Job},
    key_ring::FORCED_REREAD_AFTER,
    objects::{raw, task_of_raw},
    precedence::Rank,
    receiver::{DEADLINE, Receiver},
    renderer::Renderer,
};
use serde_json::json;
use suno_midi::{
    Asked, Digest, Options, TaskId, convert,
    document::{Source, State},
    provider::signature::SigningKey,
};
use tokio::{
    task::LocalSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    fake::{Aws, BUCKET, Chaos, QUEUE_URL, RESULTS_URL},
    receiver::{request, verdict},
};

const EPOCH: u64 = 1_795_478_400;
const OLD_KEY: &str = "old-key";
const NEW_KEY: &str = "new-key";

/// As in template.yaml.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(360);
const MAX_RECEIVES: u32 = 5;
const RENDERER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the provider calls.
const TRIES: u32 = 3;

const FAULTS: [&str; 12] = [
    "AnswerLost",
    "Crash",
    "CrashAfter",
    "CutOff",
    "Hang",
    "HangAfter",
    "Late",
    "Refused",
    "Status(409)",
    "Status(500)",
    "Status(503)",
    "Throttled",
];

#[test]
fn nothing_is_lost_and_nothing_circulates_whatever_fails() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (number("CHAOS_SEED", 1), number("CHAOS_SCHEDULES", 300));
    println!("chaos: {count} schedules from seed {first}");
    let next = AtomicU64::new(first);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let replay = Replay(seed);
                    let schedule = run(seed);
                    std::mem::forget(replay);
                    let mut totals = totals.lock().unwrap();
                    totals.add(&schedule);
                    if totals.schedules % 1000 == 0 {
                        println!("{} schedules", totals.schedules);
                    }
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap();
    println!("{totals:#?}");
    // A single schedule may have few faults or none.
    if count >= 100 {
        let drawn: Vec<&str> = totals.faults.keys().map(String::as_str).collect();
        assert_eq!(drawn, FAULTS, "the faults are real");
        assert!(totals.accepted > 0 && totals.dead > 0);
    }
}

#[test]
fn a_seed_gives_the_same_schedule_again() {
    for seed in [7, 8, 9] {
        assert_eq!(run(seed).calls, run(seed).calls);
    }
}

/// Prints how to replay a schedule, if it panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        eprintln!(
            "to replay this schedule: CHAOS_SEED={} CHAOS_SCHEDULES=1 cargo test --test aws chaos::nothing -- --nocapture",
            self.0
        );
    }
}

#[derive(Debug, Default)]
struct Totals {
    schedules: u64,
    requests: u64,
    accepted: u64,
    calls: u64,
    deliveries: u64,
    dead: u64,
    faults: BTreeMap<String, u64>,
}

impl Totals {
    fn add(&mut self, schedule: &Outcome) {
        self.schedules += 1;
        self.requests += schedule.requests;
        self.accepted += schedule.accepted;
        self.calls += schedule.calls.len() as u64;
        self.deliveries += schedule.deliveries;
        self.dead += schedule.dead;
        for (fault, count) in &schedule.faults {
            *self.faults.entry(fault.clone()).or_default() += count;
        }
    }
}

struct Outcome {
    requests: u64,
    accepted: u64,
    deliveries: u64,
    dead: u64,
    calls: Vec<String>,
    faults: BTreeMap<String, u64>,
}

/// A callback, from the provider or from a forger.
#[derive(Debug, Clone)]
struct Callback {
    task: String,
    body: Vec<u8>,
    /// When the provider first sends it, from the beginning of the schedule.
    after: Duration,
    genuine: bool,
}

struct Message {
    body: String,
    receives: u32,
    visible_at: Instant,
}

/// Everything that happens in one schedule.
struct World {
    aws: Aws,
    rng: RefCell<fastrand::Rng>,
    began: Instant,
    /// The receivers that wait for a request, each with its process.
    idle: RefCell<Vec<(Aws, Receiver)>>,
    waiting: RefCell<Vec<Message>>,
    dead: RefCell<Vec<String>>,
    /// How many messages of the account have been moved to `waiting`.
    taken: Cell<usize>,
    in_work: Cell<u32>,
    over: Cell<bool>,
    forged: Cell<bool>,
    rotated_at: Cell<Option<Instant>>,
    /// The names of the bodies that were answered 200.
    accepted: RefCell<BTreeSet<String>>,
    /// What musicians asked for, and of which bodies.
    asked: RefCell<Vec<(String, Asked)>>,
    requests: Cell<u64>,
    deliveries: Cell<u64>,
}

fn run(seed: u64) -> Outcome {
    fastrand::seed(seed); // the SDK's retry delays
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, schedule(seed))
}

async fn schedule(seed: u64) -> Outcome {
    let mut rng = fastrand::Rng::with_seed(seed);
    let aws = Aws::with_key(OLD_KEY);
    let chance = [0.02, 0.1, 0.25, 0.5][rng.usize(0..4)];
    aws.state().chaos = Some(Chaos {
        rng: rng.fork(),
        chance,
        drawn: BTreeMap::new(),
    });
    let callbacks = callbacks(&mut rng);
    let poison = rng.usize(0..3);
    let rotation = rng.bool().then(|| Duration::from_secs(rng.u64(1..120)));
    let world = Rc::new(World {
        aws,
        rng: RefCell::new(rng),
        began: Instant::now(),
        idle: RefCell::default(),
        waiting: RefCell::default(),
        dead: RefCell::default(),
        taken: Cell::default(),
        in_work: Cell::default(),
        over: Cell::default(),
        forged: Cell::new(callbacks.iter().any(|callback| !callback.genuine)),
        rotated_at: Cell::default(),
        accepted: RefCell::default(),
        asked: RefCell::default(),
        requests: Cell::default(),
        deliveries: Cell::default(),
    });
    for number in 0..poison {
        world.wait_in_queue(format!("poison {number}"));
    }

    let senders: Vec<_> = callbacks
        .iter()
        .cloned()
        .map(|callback| tokio::task::spawn_local(world.clone().send(callback)))
        .collect();
    let workers: Vec<_> = (0..2).map(|_| tokio::task::spawn_local(world.clone().work())).collect();
    if let Some(at) = rotation {
        sleep(at).await;
        let mut state = world.aws.state();
        state.signing_keys.insert("AWSPREVIOUS", OLD_KEY.to_owned());
        state.signing_keys.insert("AWSCURRENT", NEW_KEY.to_owned());
        world.rotated_at.set(Some(Instant::now()));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    world.drained().await;
    let dead = world.dead.borrow().len() as u64;
    world.check(&callbacks, poison, &world.dead_tasks());

    // The repair: faults end, and the dead-letter queue is moved back.
    world.aws.state().chaos.as_mut().unwrap().chance = 0.0;
    for body in world.dead.take() {
        world.wait_in_queue(body);
    }
    world.drained().await;
    assert_eq!(
        world.dead.borrow().len(),
        poison,
        "only poison is left: {:?}",
        world.dead.borrow()
    );
    world.check(&callbacks, poison, &BTreeSet::new());
    world.over.set(true);
    for worker in workers {
        worker.await.unwrap();
    }

    let calls = world.aws.calls();
    let faults = world.aws.state().chaos.take().unwrap().drawn;
    Outcome {
        requests: world.requests.get(),
        accepted: world.accepted.borrow().len() as u64,
        deliveries: world.deliveries.get(),
        dead,
        calls,
        faults,
    }
}

/// One to three tasks with one to four bodies of any kind each, and perhaps a forger.
fn callbacks(rng: &mut fastrand::Rng) -> Vec<Callback> {
    let mut callbacks = Vec::new();
    for task in 0..rng.usize(1..4) {
        let task = format!("task-{task}");
        for _ in 0..rng.usize(1..5) {
            callbacks.push(Callback {
                body: body(rng, &task),
                task: task.clone(),
                after: Duration::from_millis(rng.u64(0..90_000)),
                genuine: true,
            });
        }
    }
    for _ in 0..rng.usize(0..3) {
        callbacks.push(Callback {
            task: "forged".to_owned(),
            body: body(rng, "forged"),
            after: Duration::from_millis(rng.u64(0..90_000)),
            genuine: false,
        });
    }
    callbacks
}

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

impl World {
    fn chance(&self, chance: f64) -> bool {
        self.rng.borrow_mut().f64() < chance
    }

    fn seconds(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_secs(self.rng.borrow_mut().u64(range))
    }

    /// The provider: up to three tries, or more if it did not receive our 200.
    async fn send(self: Rc<Self>, callback: Callback) {
        sleep(callback.after).await;
        for _ in 0..TRIES {
            let status = self.deliver(&callback).await;
            match status {
                Some(200) => {
                    assert!(callback.genuine, "a forged callback was accepted");
                    let key = raw(&callback.task.parse().unwrap(), &callback.body);
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
        self.forged.get() && self.rotated_at.get().is_some_and(just_now)
    }

    /// Sends one request to a receiver. Returns the status, or `None` if the receiver's process ended.
    async fn deliver(&self, callback: &Callback) -> Option<u16> {
        self.requests.set(self.requests.get() + 1);
        let idle = self.idle.borrow_mut().pop();
        let (process, receiver) = idle.unwrap_or_else(|| {
            let process = self.aws.process();
            let receiver = process.receiver();
            (process, receiver)
        });
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH) + self.began.elapsed();
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

    /// A musician wants the song of a body otherwise. A request may reach the queue later than one that was made after it.
    fn ask(&self, key: &str) {
        const OPTIONS: [&str; 4] = [
            "{}",
            r#"{"tempo":"92"}"#,
            r#"{"key":"Ebm","split":true}"#,
            r#"{"split":true,"quantize":"1/16"}"#,
        ];
        let options = self.rng.borrow_mut().choice(OPTIONS).unwrap();
        let asked = Asked {
            // At most one a millisecond.
            at: loop {
                let at = 1 + self.rng.borrow_mut().u64(0..200_000);
                if self.asked.borrow().iter().all(|(_, asked)| asked.at != at) {
                    break at;
                }
            },
            options: serde_json::from_str(options).unwrap(),
        };
        let job = Job::new(task_of_raw(key).unwrap(), BUCKET, key.to_owned()).with_request(asked);
        self.wait_in_queue(serde_json::to_string(&job).unwrap());
        self.asked.borrow_mut().push((key.to_owned(), asked));
    }

    fn wait_in_queue(&self, body: String) {
        self.waiting.borrow_mut().push(Message {
            body,
            receives: 0,
            visible_at: Instant::now(),
        });
    }

    /// Moves the messages sent to the render queue since the last call to `waiting`.
    fn move_to_waiting(&self) {
        let sent: Vec<String> = {
            let state = self.aws.state();
            let new = &state.messages[self.taken.get()..];
            self.taken.set(state.messages.len());
            new.iter()
                .filter(|(queue, _)| queue == QUEUE_URL)
                .map(|(_, body)| body.clone())
                .collect()
        };
        for body in sent {
            self.wait_in_queue(body);
        }
    }

    /// Waits until the queue has been empty for so long that no late message can come.
    async fn drained(&self) {
        let mut empty_since = Instant::now();
        while empty_since.elapsed() < Duration::from_secs(90) {
            sleep(Duration::from_secs(1)).await;
            self.move_to_waiting();
            if self.in_work.get() > 0 || !self.waiting.borrow().is_empty() {
                empty_since = Instant::now();
            }
        }
    }

    /// A renderer and its SQS trigger: delivers visible messages, in any order, at least once.
    async fn work(self: Rc<Self>) {
        let mut warm = None;
        while !self.over.get() {
            self.move_to_waiting();
            let message = {
                let mut waiting = self.waiting.borrow_mut();
                let now = Instant::now();
                let visible: Vec<usize> = (0..waiting.len())
                    .filter(|&index| waiting[index].visible_at <= now)
                    .collect();
                let chosen = self.rng.borrow_mut().choice(visible);
                chosen.map(|index| waiting.remove(index))
            };
            let Some(message) = message else {
                sleep(Duration::from_millis(700)).await;
                continue;
            };
            self.in_work.set(self.in_work.get() + 1);
            self.deliveries.set(self.deliveries.get() + 1);
            let (process, renderer) = warm.take().unwrap_or_else(|| self.renderer());
            let done = render(&process, &renderer, &message.body).await;
            warm = done.is_some().then_some((process, renderer));
            // Sometimes SQS delivers a deleted message again.
            if done != Some(true) || self.chance(0.05) {
                self.again(message);
            }
            self.in_work.set(self.in_work.get() - 1);
        }
    }

    fn again(&self, mut message: Message) {
        message.receives += 1;
        if message.receives == MAX_RECEIVES {
            self.dead.borrow_mut().push(message.body);
        } else {
            message.visible_at = Instant::now() + VISIBILITY_TIMEOUT;
            self.waiting.borrow_mut().push(message);
        }
    }

    fn renderer(&self) -> (Aws, Renderer) {
        let process = self.aws.process();
        let renderer = process.renderer();
        (process, renderer)
    }

    /// The tasks that have a job in the dead-letter queue.
    fn dead_tasks(&self) -> BTreeSet<TaskId> {
        let dead = self.dead.borrow();
        let jobs = dead.iter().filter_map(|body| jobs::read(body).ok()).flatten();
        jobs.map(|job| job.task_id).collect()
    }

    /// Checks the invariants. Those about results do not hold for tasks in `waiting`, whose jobs are in the dead-letter
    /// queue.
    fn check(&self, callbacks: &[Callback], poison: usize, waiting: &BTreeSet<TaskId>) {
        let state = self.aws.state();
        let queued: BTreeSet<String> = state
            .messages
            .iter()
            .filter(|(queue, _)| queue == QUEUE_URL)
            .flat_map(|(_, body)| jobs::read(body).unwrap())
            .map(|job| job.object)
            .collect();

        // Every 200: the exact bytes are stored, and their job was queued.
        let sent: BTreeMap<String, &Callback> = callbacks
            .iter()
            .filter(|callback| callback.genuine)
            .map(|callback| (raw(&callback.task.parse().unwrap(), &callback.body), callback))
            .collect();
        for key in self.accepted.borrow().iter() {
            assert_eq!(
                state.objects.get(key).map(|object| &object.body),
                Some(&sent[key].body),
                "{key}"
            );
            assert!(queued.contains(key), "no job was ever sent for {key}");
        }
        // Every job has its body. Every body was sent by the provider, and was written once.
        assert!(queued.iter().all(|key| state.objects.contains_key(key)));
        let mut written = BTreeSet::new();
        for (key, object) in state.written.iter().filter(|(key, _)| key.starts_with("raw/")) {
            assert!(sent.contains_key(key), "{key} was never sent by the provider");
            assert!(
                key.contains(&Digest::of(&object.body).to_string()),
                "{key} holds other bytes"
            );
            assert!(written.insert(key), "{key} was written twice");
        }

        // The results are those of the body that decides.
        let mut expected = BTreeMap::new();
        let mut tasks: BTreeMap<TaskId, Vec<&String>> = BTreeMap::new();
        for key in &queued {
            tasks.entry(task_of_raw(key).unwrap()).or_default().push(key);
        }
        for (task, keys) in tasks.iter().filter(|(task, _)| !waiting.contains(task)) {
            let all_asked = self.asked.borrow();
            let requests_for = |key: &String| {
                let requests = all_asked.iter().filter(|(of, _)| of == key);
                let requests: Vec<_> = requests.map(|(_, asked)| Some(*asked)).chain([None]).collect();
                requests
            };
            let jobs = keys
                .iter()
                .flat_map(|&key| requests_for(key).into_iter().map(move |asked| (key, asked)));
            let outcomes = jobs.map(|(key, asked)| {
                let object = &state.objects[key];
                let webhook_timestamp = object.headers["x-amz-meta-webhook-timestamp"].parse().unwrap();
                let options = asked.map_or(Options::default(), |asked| asked.over(Options::default()));
                let mut outcome = convert(task, &object.body, &options);
                outcome.document.source = Some(Source {
                    asked,
                    ..Source::new(key.clone(), webhook_timestamp, false)
                });
                let rank = Rank::new(outcome.document.state, webhook_timestamp, key);
                (rank.asked_at(asked.map_or(0, |asked| asked.at)), outcome)
            });
            let (_, decides) = outcomes.max_by_key(|(rank, _)| rank.clone()).unwrap();
            let document = &decides.document;
            for (object, file) in decides.objects() {
                expected.insert(object.to_owned(), file.bytes.clone());
            }
            let announcement = serde_json::to_string(&Announcement::new(BUCKET, document)).unwrap();
            assert!(
                state
                    .messages
                    .iter()
                    .any(|(queue, body)| queue == RESULTS_URL && *body == announcement),
                "the result of {task} was never announced"
            );
        }
        let is_waiting = |key: &str| {
            let of = |task: &TaskId| {
                ['.', '/']
                    .iter()
                    .any(|end| key.starts_with(&format!("midi/{task}{end}")))
            };
            waiting.iter().any(of)
        };
        // The files of an earlier result stay, if those that were asked for last have other names.
        let is_left_over = |key: &str| !expected.contains_key(key) && key.split('/').count() == 3;
        let results: BTreeMap<String, Vec<u8>> = state
            .objects
            .iter()
            .filter(|(key, _)| !key.starts_with("raw/") && !is_waiting(key) && !is_left_over(key))
            .map(|(key, object)| (key.clone(), object.body.clone()))
            .collect();
        assert_eq!(keys(&results), keys(&expected));
        assert!(results == expected, "a result is not that of the body that decides");

        // A document never existed without its files or before them, and nothing replaced a better result.
        let mut there: BTreeMap<&str, Rank> = BTreeMap::new();
        for (key, object) in state.written.iter().filter(|(key, _)| key.starts_with("midi/")) {
            let metadata = |name: &str| object.headers[&format!("x-amz-meta-{name}")].clone();
            let named = State::named(&metadata("state")).unwrap();
            let rank = Rank::new(
                named,
                metadata("webhook-timestamp").parse().unwrap(),
                &metadata("source-key"),
            );
            let asked_at = object.headers.get("x-amz-meta-asked");
            let rank = rank.asked_at(asked_at.map_or(0, |at| at.parse().unwrap()));
            let document: serde_json::Value = serde_json::from_slice(&object.body).unwrap_or_default();
            let files = document["files"]
                .as_object()
                .into_iter()
                .flat_map(|files| files.values());
            let instruments = document["song"]["instruments"].as_array().into_iter().flatten();
            let parts = instruments.filter_map(|instrument| instrument.get("file"));
            for file in files.chain(parts).filter(|file| **file != *key) {
                let of_file = there.get(file.as_str().unwrap());
                assert!(of_file >= Some(&rank), "{key} came before its {file}");
            }
            let before = there.insert(key, rank.clone());
            assert!(before < Some(rank), "{key}: replaced by less");
        }

        // Nothing circulates: only receivers send jobs, once in each of the SDK's tries. Poison reaches the dead-letter
        // queue.
        let jobs = state.messages.iter().filter(|(queue, _)| queue == QUEUE_URL).count();
        assert!(jobs as u64 <= 3 * self.requests.get());
        let dead = self.dead.borrow();
        assert!((0..poison).all(|number| dead.contains(&format!("poison {number}"))));
    }
}

/// Whether a renderer is done with the message; `None` if its process ended.
async fn render(process: &Aws, renderer: &Renderer, body: &str) -> Option<bool> {
    let mut message = SqsMessage::default();
    message.message_id = Some("m".to_owned());
    message.body = Some(body.to_owned());
    let mut event = SqsEvent::default();
    event.records.push(message);
    let response = tokio::select! {
        biased;
        () = process.killed() => return None,
        response = timeout(RENDERER_TIMEOUT, renderer.handle(event, SystemTime::now())) => response.ok()?,
    };
    Some(response.batch_item_failures.is_empty())
}

fn keys<V>(map: &BTreeMap<String, V>) -> Vec<&String> {
    map.keys().collect()
}
