//! How long ten thousand watched tasks take, and how many calls, in virtual time and without faults. `SIMULATED_TASKS` is
//! the number of tasks; `make simulate` prints the figures for 10,000.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use midihook::{
    bucket::keys::{self, task_of_body},
    bucket::watches::{Watch, WatchState},
    messages::check::{self, CheckMessage},
    messages::job,
    reconciler::Reconciler,
};
use suno_midi::TaskId;
use tokio::{
    task::{LocalSet, spawn_local},
    time::{Instant, sleep},
};

use crate::{
    fake::{Aws, BUCKET, Chaos, Clock, QUEUE_URL, WATCH_URL, sqs_event},
    provider::{API_KEY, Fate, Provider, Task},
    queue::Queue,
    reconciler::arrived,
};

/// As in template.yaml.
const RECONCILERS: usize = 2;
const WATCH_DELAY: Duration = Duration::from_secs(120);

/// How long a call to AWS takes at most, in milliseconds.
const SLOWEST_CALL: u64 = 60;
/// How long a trigger takes from one message to the next.
const POLL: Duration = Duration::from_millis(20);
/// Ten thousand tasks a day.
const STEADY: Duration = Duration::from_millis(8640);

#[test]
#[ignore = "make simulate"]
fn tasks_watched_at_once_all_end_and_the_provider_is_asked_at_most_twice_a_second() {
    simulate("all at once", |_| Duration::ZERO);
}

#[test]
#[ignore = "make simulate"]
fn tasks_that_come_all_day_end_soon_after_the_provider_is_done() {
    let figures = simulate("10,000 a day", |number| STEADY * number);
    // The pauses are up to a quarter of the time for which a task is watched.
    assert!(
        figures.waits.last() < Some(&Duration::from_secs(180)),
        "{:?}",
        figures.waits.last()
    );
}

fn simulate(name: &str, begins_after: fn(u32) -> Duration) -> Figures {
    let count = std::env::var("SIMULATED_TASKS").map_or(200, |text| text.parse().unwrap());
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let figures = LocalSet::new().block_on(&runtime, Simulation::run(count, begins_after));
    println!("{count} watched tasks, {name}:\n{}", figures.text());
    figures
}

struct Simulation {
    aws: Aws,
    provider: Provider,
    queue: Queue,
    rng: RefCell<fastrand::Rng>,
    figures: RefCell<Figures>,
    /// How many tasks have their result.
    ended: Cell<u32>,
}

/// What was counted.
#[derive(Default)]
struct Figures {
    tasks: u32,
    /// The calls to AWS by their first word.
    calls: BTreeMap<String, u64>,
    /// The messages of the watch queue that others sent: those who watch, and EventBridge.
    sent_by_others: u64,
    invocations: u64,
    billed: Duration,
    looks: BTreeMap<TaskId, u64>,
    /// When each question came.
    questions: Vec<Instant>,
    /// From the end at the provider to the stored answer, in order.
    waits: Vec<Duration>,
    /// From the end at the provider to the result, in order.
    waits_for_result: Vec<Duration>,
    took: Duration,
}

impl Simulation {
    async fn run(count: u32, begins_after: fn(u32) -> Duration) -> Figures {
        let mut rng = fastrand::Rng::with_seed(1);
        let aws = Aws::default();
        let provider = Provider::new(rng.fork(), 0.0);
        {
            let mut state = aws.state();
            state.clock = Clock::Running(Instant::now());
            state.api_key = Some(API_KEY.to_owned());
            state.chaos = Some(Chaos {
                slowest: SLOWEST_CALL,
                ..Chaos::new(rng.fork(), 0.0)
            });
        }
        let began = Instant::now();
        let simulation = Rc::new(Self {
            aws,
            provider,
            queue: Queue::default(),
            rng: RefCell::new(rng),
            figures: RefCell::default(),
            ended: Cell::default(),
        });
        let carrier = spawn_local(simulation.clone().carry());
        let workers: Vec<_> = (0..RECONCILERS)
            .map(|_| spawn_local(simulation.clone().work()))
            .collect();
        for number in 0..count {
            tokio::time::sleep_until(began + begins_after(number)).await;
            simulation.watch(number);
        }
        while simulation.ended.get() < count || !simulation.queue.is_idle() {
            assert!(workers.iter().all(|worker| !worker.is_finished()), "a worker panicked");
            sleep(Duration::from_secs(60)).await;
        }
        simulation.queue.close();
        for worker in workers {
            worker.await.unwrap();
        }
        carrier.abort();
        simulation.check();

        let mut figures = simulation.figures.take();
        figures.tasks = count;
        figures.took = began.elapsed();
        figures.questions = simulation
            .provider
            .state()
            .questions
            .iter()
            .map(|question| question.at)
            .collect();
        figures.waits.sort();
        figures.waits_for_result.sort();
        figures
    }

    fn check(&self) {
        self.provider.state().check_distances();
        assert_eq!(self.queue.dead(), [""; 0]);
        let state = self.aws.state();
        for task in self.provider.state().tasks.keys() {
            let task: TaskId = task.parse().unwrap();
            assert!(
                state.objects.contains_key(&format!("midi/{task}.json")),
                "{task} has no result"
            );
            let watch = Watch::read(&task, &state.objects[&keys::watch(&task)].body).unwrap();
            assert_eq!(watch.state, WatchState::Done, "{task}");
        }
    }

    /// A task is started at the provider, and watched.
    fn watch(&self, number: u32) {
        let task: TaskId = format!("task-{number}").parse().unwrap();
        let takes = Duration::from_millis(self.rng.borrow_mut().u64(30_000..300_000));
        let record = Task {
            fate: Fate::Song(60),
            known_at: Instant::now(),
            ends_at: Instant::now() + takes,
        };
        self.provider.state().tasks.insert(task.to_string(), record);
        let message = serde_json::to_string(&CheckMessage::new(task)).unwrap();
        self.figures.borrow_mut().sent_by_others += 1;
        self.queue.send(message, Duration::ZERO);
    }

    /// The trigger and the reconciler.
    async fn work(self: Rc<Self>) {
        let reconciler: Reconciler = self.aws.process().reconciler(Some(self.provider.connection()));
        while let Some(received) = self.queue.receive(|_| 0).await {
            let requests = check::read(&received.body).unwrap();
            let began = Instant::now();
            let now = self.aws.state().clock.now();
            let response = reconciler.handle(sqs_event(&[&received.body]), now).await;
            assert!(response.batch_item_failures.is_empty(), "{}", received.body);
            self.queue.done(received, false);
            {
                let mut figures = self.figures.borrow_mut();
                figures.invocations += 1;
                figures.billed += began.elapsed();
                for request in requests {
                    *figures.looks.entry(request.task_id).or_default() += 1;
                }
            }
            sleep(POLL).await;
        }
    }

    /// AWS itself, and a renderer that always takes its two seconds. Forgets the calls that were counted.
    async fn carry(self: Rc<Self>) {
        loop {
            self.aws.changed().await;
            let mut state = self.aws.state();
            let calls = std::mem::take(&mut state.calls);
            let messages = std::mem::take(&mut state.messages);
            let delays = std::mem::take(&mut state.delays);
            let written = std::mem::take(&mut state.written);
            drop(state);
            let mut figures = self.figures.borrow_mut();
            for call in calls {
                let kind = call.what.split(' ').next().unwrap().to_owned();
                *figures.calls.entry(kind).or_default() += 1;
            }
            for ((queue, body), delay) in messages.into_iter().zip(delays) {
                match queue.as_str() {
                    WATCH_URL => self.queue.send(body, delay.unwrap_or(WATCH_DELAY)),
                    QUEUE_URL => drop(spawn_local(self.clone().render(body))),
                    _ => panic!("a message for {queue}"),
                }
            }
            for (key, _) in written {
                if let Some(task) = task_of_body(&key) {
                    let ended = self.provider.state().tasks[task.as_str()].ends_at;
                    figures.waits.push(ended.elapsed());
                    figures.sent_by_others += 1;
                    self.queue.send(arrived(BUCKET, &key), WATCH_DELAY);
                }
            }
        }
    }

    async fn render(self: Rc<Self>, job: String) {
        sleep(Duration::from_secs(2)).await;
        for job in job::read(&job).unwrap() {
            let document = format!("midi/{}.json", job.task_id);
            assert!(
                !self.aws.object_names().contains(&document),
                "{document} is rendered twice"
            );
            self.aws.put(
                &document,
                b"{}",
                &[("state", "rendered"), ("source-key", &job.body_key)],
            );
            let ended = self.provider.state().tasks[job.task_id.as_str()].ends_at;
            self.figures.borrow_mut().waits_for_result.push(ended.elapsed());
            self.ended.set(self.ended.get() + 1);
        }
    }
}

impl Figures {
    fn text(&self) -> String {
        let tasks = f64::from(self.tasks);
        let calls = |kind: &str| self.calls.get(kind).copied().unwrap_or_default() as f64;
        // Each message is received and deleted. Empty receives are not counted: they do not depend on the tasks.
        let sqs = calls("SendMessage") + self.sent_by_others as f64 + 2.0 * self.invocations as f64;
        let asked_for = self
            .questions
            .last()
            .unwrap()
            .duration_since(self.questions[0])
            .as_secs_f64();
        let quantiles = |sorted: &[Duration]| {
            let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64();
            format!(
                "median {:.1} s, p99 {:.1} s, longest {:.1} s",
                at(0.5),
                at(0.99),
                at(1.0)
            )
        };
        let kinds: Vec<String> = ["PUT", "GET", "HEAD", "LIST"]
            .map(|kind| format!("{kind} {} ({:.2} a task)", calls(kind), calls(kind) / tasks))
            .into();
        let looks = self.looks.values();
        [
            format!("took                 {:.0} s", self.took.as_secs_f64()),
            format!(
                "provider             {} questions ({:.2} a task), {:.2} a second, at most {} in any second",
                self.questions.len(),
                self.questions.len() as f64 / tasks,
                self.questions.len() as f64 / asked_for,
                self.most_in_a_second()
            ),
            format!("end to stored answer {}", quantiles(&self.waits)),
            format!("end to result        {}", quantiles(&self.waits_for_result)),
            format!(
                "looks                {} ({:.2} a task, at most {})",
                self.invocations,
                self.invocations as f64 / tasks,
                looks.max().unwrap()
            ),
            format!("S3                   {}", kinds.join(", ")),
            format!("SQS                  {sqs} requests ({:.2} a task)", sqs / tasks),
            format!(
                "Lambda               {} invocations, {:.0} s billed ({:.2} s a task)",
                self.invocations,
                self.billed.as_secs_f64(),
                self.billed.as_secs_f64() / tasks
            ),
        ]
        .map(|line| format!("  {line}\n"))
        .concat()
    }

    fn most_in_a_second(&self) -> usize {
        let windows = self.questions.iter().enumerate().map(|(first, &at)| {
            let rest = self.questions[first..].iter();
            rest.take_while(|&&later| later - at < Duration::from_secs(1)).count()
        });
        windows.max().unwrap_or_default()
    }
}
