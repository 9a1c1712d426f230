//! What must be true after a schedule.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use midihook::{
    bucket::keys::{self, task_of_body},
    bucket::precedence::Rank,
    bucket::watches::{Watch, WatchState},
    messages::announcement::Announcement,
    messages::check,
    messages::job,
};
use serde_json::{Value, json};
use suno_midi::{
    Options, Outcome, TaskId, convert,
    document::{Source, State},
};

use super::{
    plan::{Plan, Purged},
    world::{POISON, World},
};
use crate::{
    fake::{self, BUCKET, QUEUE_URL, RESULTS_URL},
    provider::Fate,
};

impl World {
    /// The tasks that have a message in a dead-letter queue.
    pub fn dead_tasks(&self) -> BTreeSet<TaskId> {
        let (jobs, looks) = (self.render.dead(), self.watch.dead());
        let jobs = jobs.iter().filter_map(|body| job::read(body).ok()).flatten();
        let looks = looks.iter().filter_map(|body| check::read(body).ok()).flatten();
        jobs.map(|job| job.task_id)
            .chain(looks.map(|look| look.task_id))
            .collect()
    }

    /// Checks the invariants. Those about results do not hold for tasks in `waiting`, which have dead letters.
    pub fn check(&self, plan: &Plan, waiting: &BTreeSet<TaskId>) {
        let state = self.aws.state();
        let sent_to = |url: &'static str| {
            let sent = state.messages.iter().filter(move |(queue, _)| queue == url);
            sent.map(|(_, body)| body)
        };
        let queued: BTreeSet<String> = sent_to(QUEUE_URL)
            .flat_map(|body| job::read(body).unwrap())
            .map(|job| job.body_key)
            .collect();

        // Every 200: the exact bytes are stored, and their job was queued.
        let mut sent: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for callback in plan.callbacks.iter().filter(|callback| callback.genuine) {
            let key = keys::body(&callback.task.parse().unwrap(), &callback.body);
            sent.insert(key, callback.body.clone());
        }
        for key in self.accepted.borrow().iter() {
            let stored = state.objects.get(key).map(|object| &object.body);
            assert_eq!(stored, Some(&sent[key]), "{key}");
            assert!(queued.contains(key), "no job was ever sent for {key}");
        }
        // Every job has its body. Every body was sent by the provider, or is what it answered, and was written once.
        assert!(queued.iter().all(|key| state.objects.contains_key(key)));
        for (id, task) in &plan.tasks {
            let answer = task.last_answer(id);
            sent.insert(keys::body(&id.parse().unwrap(), &answer), answer);
        }
        let mut written = BTreeSet::new();
        for (key, object) in state.written.iter().filter(|(key, _)| key.starts_with(keys::BODIES)) {
            assert_eq!(
                sent.get(key),
                Some(&object.body),
                "{key} does not come from the provider"
            );
            assert!(written.insert(key), "{key} was written twice");
        }

        // The results are those of the bodies that decide.
        let mut expected = BTreeMap::new();
        let mut decided = BTreeSet::new();
        for (task, outcome) in self.outcomes(&state, &queued) {
            if waiting.contains(&task) || self.lost.borrow().contains(&task) {
                continue;
            }
            for (object, file) in outcome.objects() {
                expected.insert(object.to_owned(), file.bytes.clone());
            }
            let announcement = serde_json::to_string(&Announcement::new(BUCKET, &outcome.document)).unwrap();
            let mut announced = sent_to(RESULTS_URL);
            assert!(
                announced.any(|body| *body == announcement),
                "the result of {task} was never announced"
            );
            decided.insert(task);
        }
        let of = |key: &str, task: &TaskId| {
            ['.', '/']
                .iter()
                .any(|end| key.starts_with(&format!("midi/{task}{end}")))
        };
        let is_decided = |key: &str| decided.iter().any(|task| of(key, task));
        // The files of an earlier result stay, if those that were asked for last have other names.
        let is_left_over = |key: &str| !expected.contains_key(key) && key.split('/').count() == 3;
        let results: BTreeMap<String, Vec<u8>> = state
            .objects
            .iter()
            .filter(|(key, _)| is_decided(key) && !is_left_over(key))
            .map(|(key, object)| (key.clone(), object.body.clone()))
            .collect();
        assert_eq!(keys(&results), keys(&expected));
        assert!(results == expected, "a result is not that of the body that decides");

        for id in plan.tasks.keys() {
            let task: TaskId = id.parse().unwrap();
            if !waiting.contains(&task) {
                self.check_end(plan, &state, &task, decided.contains(&task));
            }
        }
        check_order(&state);
        self.check_numbers(plan, sent_to(QUEUE_URL).count() as u64);
    }

    /// What the body that decides makes of each task, of all bodies that ever had a job.
    fn outcomes(&self, state: &fake::State, queued: &BTreeSet<String>) -> Vec<(TaskId, Outcome)> {
        let mut tasks: BTreeMap<TaskId, Vec<&String>> = BTreeMap::new();
        for key in queued {
            tasks.entry(task_of_body(key).unwrap()).or_default().push(key);
        }
        let all_asked = self.asked.borrow();
        let requests_for = |key: &String| {
            let requests = all_asked.iter().filter(|(of, _)| of == key);
            let requests: Vec<_> = requests.map(|(_, asked)| Some(*asked)).chain([None]).collect();
            requests
        };
        let decide = |(task, keys): (TaskId, Vec<&String>)| {
            let jobs = keys
                .iter()
                .flat_map(|&key| requests_for(key).into_iter().map(move |asked| (key, asked)));
            let outcomes = jobs.map(|(key, asked)| {
                let object = &state.objects[key];
                let webhook_timestamp = object.headers["x-amz-meta-webhook-timestamp"].parse().unwrap();
                let options = asked.map_or(Options::default(), |asked| asked.apply_to(Options::default()));
                let mut outcome = convert(&task, &object.body, &options);
                let asked_for = object.headers["x-amz-meta-source"] == "poll";
                outcome.document.source = Some(Source {
                    request: asked,
                    ..Source::new(key.clone(), webhook_timestamp, asked_for)
                });
                let rank = Rank::new(outcome.document.state, webhook_timestamp, key);
                (rank.with_request(asked.map_or(0, |asked| asked.at)), outcome)
            });
            let (_, decides) = outcomes.max_by_key(|(rank, _)| rank.clone()).unwrap();
            (task, decides)
        };
        tasks.into_iter().map(decide).collect()
    }

    /// A task that was watched, or whose body was answered 200, has ended: it has one result, the right one.
    fn check_end(&self, plan: &Plan, state: &fake::State, task: &TaskId, is_decided: bool) {
        let of_task = |key: &String| task_of_body(key).as_ref() == Some(task);
        let is_accepted = self.accepted.borrow().iter().any(of_task);
        let is_watched = self.watched.borrow().contains(task);
        let watch = state.objects.get(&keys::watch(task));
        let watch = watch.map(|object| Watch::read(task, &object.body).unwrap().state);
        assert_ne!(watch, Some(WatchState::Watching), "nobody looks at {task} any longer");

        let document = state.objects.get(&format!("midi/{task}.json"));
        let document = document.map(|object| serde_json::from_slice::<Value>(&object.body).unwrap());
        let Some(document) = document else {
            assert!(!is_accepted && !is_watched, "{task} has no result");
            return;
        };
        let result = State::named(document["state"].as_str().unwrap()).unwrap();
        // What says nothing may have precedence over the provider's answer, but is no reason to wait for another.
        let answer = keys::body(task, &plan.tasks[task.as_str()].last_answer(task.as_str()));
        let is_final =
            matches!(result, State::Rendered | State::Empty | State::Failed) || state.objects.contains_key(&answer);
        let without_song = match self.has_api_key && plan.tasks[task.as_str()].fate == Fate::Unknown {
            true => (State::Unknown, WatchState::Unknown),
            false => (State::Expired, WatchState::Expired),
        };
        if document.get("source").is_none() {
            assert_eq!((result, watch), (without_song.0, Some(without_song.1)), "{task}");
            let mut announced = document.clone();
            announced["bucket"] = json!(BUCKET);
            let mut messages = state.messages.iter().filter(|(queue, _)| queue == RESULTS_URL);
            let is_announced = messages.any(|(_, body)| serde_json::from_str::<Value>(body).unwrap() == announced);
            assert!(is_announced, "the end of {task} was never announced");
        } else {
            assert!(
                is_decided || self.lost.borrow().contains(task),
                "{task} has a result of no body"
            );
        }
        // A watch may end before a dead letter is moved back.
        let died = self.died.borrow().contains(task);
        // Without the events of its bodies, a task is not watched because of them.
        if is_watched || self.purged.get() != Some(Purged::WatchQueue) {
            let can_be_asked =
                self.has_api_key && !matches!(plan.tasks[task.as_str()].fate, Fate::Pending | Fate::Unknown);
            assert!(
                is_final || !can_be_asked || died,
                "{task} is {result:?}, but the provider has its song"
            );
        }
        if self.purged.get() != Some(Purged::WatchQueue) {
            let right = if is_final { WatchState::Done } else { without_song.1 };
            assert!(
                died || watch.is_none_or(|watch| watch == right),
                "{task} is {result:?}, but its watch {watch:?}"
            );
            assert!(
                is_final || watch.is_some(),
                "{task} is {result:?}, and nobody watched it"
            );
        }
    }

    /// Nothing circulates, and the provider is asked no more often than it wants.
    fn check_numbers(&self, plan: &Plan, jobs: u64) {
        self.provider.state().check_distances();
        for number in 0..plan.poison {
            let poison = format!("{POISON} {number}");
            assert!(self.render.dead().contains(&poison) && self.watch.dead().contains(&poison));
        }
        // Each try of the SDK may have sent one.
        let looks: u64 = self.looks.borrow().values().sum();
        let bodies = plan.callbacks.len() as u64 + 1;
        assert!(jobs <= 3 * (self.requests.get() + bodies * looks), "{jobs} jobs");
        // A watch has some twenty looks in its first hour, and then one in 15 minutes. Each message may be received five
        // times, and whatever begins the watch again may repeat the first looks.
        let usual = 20 + self.began.elapsed().as_secs() / Duration::from_secs(900).as_secs();
        for (task, looks) in self.looks.borrow().iter() {
            let causes = self.causes.borrow().get(task).copied().unwrap_or_default();
            assert!(
                *looks <= 5 * usual + 20 * (causes + 1),
                "{task} was looked at {looks} times, for {causes} causes"
            );
        }
    }
}

/// A document never existed without its files or before them, and nothing replaced a better result.
fn check_order(state: &fake::State) {
    let mut there: BTreeMap<&str, Rank> = BTreeMap::new();
    for (key, object) in state.written.iter().filter(|(key, _)| key.starts_with("midi/")) {
        assert!(!key.contains("forged"));
        let metadata = |name: &str| {
            object
                .headers
                .get(&format!("x-amz-meta-{name}"))
                .cloned()
                .unwrap_or_default()
        };
        let named = State::named(&metadata("state")).unwrap();
        let rank = Rank::new(
            named,
            metadata("webhook-timestamp").parse().unwrap(),
            &metadata("source-key"),
        );
        let rank = rank.with_request(metadata("asked").parse().unwrap_or(0));
        let document: Value = serde_json::from_slice(&object.body).unwrap_or_default();
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
        // Two ends without a body are as good as each other.
        let is_as_good = rank == Rank::without_body(named);
        let before = there.insert(key, rank.clone());
        assert!(
            before < Some(rank.clone()) || (is_as_good && before == Some(rank)),
            "{key}: replaced by less"
        );
    }
}

fn keys<V>(map: &BTreeMap<String, V>) -> Vec<&String> {
    map.keys().collect()
}
