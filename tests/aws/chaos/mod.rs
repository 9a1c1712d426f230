//! Schedules of callbacks, watched tasks, faults and crashes, drawn from a seed, and what must be true after each.
//!
//! Time is virtual: a schedule of hours takes milliseconds. `CHAOS_SCHEDULES` is the number of schedules and
//! `CHAOS_SEED` the first seed. A failure prints the command that replays its schedule.

mod check;
mod plan;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::{LocalSet, spawn_local},
    time::Instant,
};

use self::{
    plan::{LONG, Plan},
    world::{Kind, OLD_KEY, POISON, World},
};
use crate::{
    fake::{Aws, Chaos, Clock},
    provider::{self, API_KEY, Fate, Provider},
};

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
const FATES: [&str; 6] = ["Empty", "Failed", "Pending", "Song", "Unknown", "UnknownAtFirst"];

#[test]
fn nothing_is_lost_and_nothing_circulates_whatever_fails() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (number("CHAOS_SEED", 1), number("CHAOS_SCHEDULES", 60));
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
                    let (schedule, _) = run(seed);
                    std::mem::forget(replay);
                    let mut totals = totals.lock().unwrap();
                    totals.add(schedule);
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
    if count >= LONG {
        let drawn = |counts: &BTreeMap<String, u64>| counts.keys().cloned().collect::<Vec<_>>();
        assert_eq!(drawn(&totals.faults), FAULTS, "the faults are real");
        let mut of_provider = provider::Fault::ALL.map(|fault| format!("{fault:?}"));
        of_provider.sort();
        assert_eq!(drawn(&totals.faults_of_provider), of_provider);
        assert_eq!(drawn(&totals.fates), FATES);
        assert_eq!(drawn(&totals.purges), ["RenderQueue", "WatchQueue"]);
        assert!(totals.accepted > 0 && totals.watched > 0 && totals.dead > 0 && totals.keys_refused > 0);
    }
}

#[test]
fn a_seed_gives_the_same_schedule_again() {
    for seed in [7, 8, 9] {
        assert_eq!(run(seed).1, run(seed).1);
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

/// What happened in some schedules.
#[derive(Debug, Default)]
struct Totals {
    schedules: u64,
    days: f64,
    requests: u64,
    accepted: u64,
    watched: u64,
    calls: u64,
    deliveries: u64,
    questions: u64,
    keys_refused: u64,
    dead: u64,
    fates: BTreeMap<String, u64>,
    purges: BTreeMap<String, u64>,
    faults: BTreeMap<String, u64>,
    faults_of_provider: BTreeMap<String, u64>,
}

impl Totals {
    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.days += other.days;
        self.requests += other.requests;
        self.accepted += other.accepted;
        self.watched += other.watched;
        self.calls += other.calls;
        self.deliveries += other.deliveries;
        self.questions += other.questions;
        self.keys_refused += other.keys_refused;
        self.dead += other.dead;
        for (counts, more) in [
            (&mut self.fates, other.fates),
            (&mut self.purges, other.purges),
            (&mut self.faults, other.faults),
            (&mut self.faults_of_provider, other.faults_of_provider),
        ] {
            for (name, count) in more {
                *counts.entry(name).or_default() += count;
            }
        }
    }
}

/// Plays the schedule of a seed. Returns what happened, and all calls to AWS.
fn run(seed: u64) -> (Totals, Vec<String>) {
    fastrand::seed(seed); // the SDK's retry delays
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, schedule(seed))
}

async fn schedule(seed: u64) -> (Totals, Vec<String>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let plan = Plan::new(seed, &mut rng);
    let aws = Aws::with_key(OLD_KEY);
    let provider = Provider::new(rng.fork(), plan.chance);
    {
        let mut state = aws.state();
        state.clock = Clock::Running(Instant::now());
        state.api_key = Some(API_KEY.to_owned());
        state.chaos = Some(Chaos::new(rng.fork(), plan.chance));
        let mut provider = provider.state();
        provider.tasks = plan.tasks.clone();
        provider.key_refused_until = Instant::now() + plan.key_refused_for;
    }
    let world = World::new(aws, provider, &plan, rng);
    for number in 0..plan.poison {
        world.render.send(format!("{POISON} {number}"), Duration::ZERO);
        world.watch.send(format!("{POISON} {number}"), Duration::ZERO);
    }

    let carrier = spawn_local(world.clone().carry());
    let workers = [Kind::Renderer, Kind::Renderer, Kind::Reconciler, Kind::Reconciler];
    *world.workers.borrow_mut() = workers.map(|kind| spawn_local(world.clone().work(kind))).into();
    let callbacks = plan.callbacks.iter().cloned();
    let mut others: Vec<_> = callbacks
        .map(|callback| spawn_local(world.clone().send(callback)))
        .collect();
    let watchers = plan.watchers.iter().cloned();
    others.extend(watchers.map(|watcher| spawn_local(world.clone().begin_to_watch(watcher))));
    others.extend(plan.rotation.map(|after| spawn_local(world.clone().rotate(after))));
    others.extend(plan.purge.map(|purge| spawn_local(world.clone().purge(purge))));
    for other in others {
        other.await.unwrap();
    }
    world.drained().await;
    world.check(&plan, &world.dead_tasks());

    // The repair: faults end, and the dead-letter queues are moved back.
    let faults = std::mem::take(&mut world.provider.state().drawn);
    world.provider.state().chance = 0.0;
    world.aws.state().chaos.as_mut().unwrap().chance = 0.0;
    let dead = world.move_dead_letters_back();
    world.drained().await;
    for queue in [&world.render, &world.watch] {
        assert_eq!(
            queue.dead().len(),
            plan.poison,
            "only poison is left: {:?}",
            queue.dead()
        );
    }
    world.check(&plan, &BTreeSet::new());
    world.render.close();
    world.watch.close();
    for worker in world.workers.take() {
        worker.await.unwrap();
    }
    carrier.abort();

    let mut fates = BTreeMap::new();
    for task in plan.tasks.values() {
        let fate = match task.fate {
            Fate::Song(_) => "Song".to_owned(),
            fate => format!("{fate:?}"),
        };
        *fates.entry(fate).or_default() += 1;
        if task.known_at > world.began && task.fate != Fate::Unknown {
            *fates.entry("UnknownAtFirst".to_owned()).or_default() += 1;
        }
    }
    let calls = world.aws.calls();
    let provider = world.provider.state();
    let totals = Totals {
        schedules: 1,
        days: world.began.elapsed().as_secs_f64() / 86_400.0,
        requests: world.requests.get(),
        accepted: world.accepted.borrow().len() as u64,
        watched: world.watched.borrow().len() as u64,
        calls: calls.len() as u64,
        deliveries: world.deliveries.get(),
        questions: provider.questions.len() as u64,
        keys_refused: provider.keys_refused,
        dead,
        fates,
        purges: world
            .purged
            .get()
            .map(|of| (format!("{of:?}"), 1))
            .into_iter()
            .collect(),
        faults: world.aws.state().chaos.take().unwrap().drawn,
        faults_of_provider: faults
            .into_iter()
            .map(|(fault, count)| (format!("{fault:?}"), count))
            .collect(),
    };
    (totals, calls)
}
