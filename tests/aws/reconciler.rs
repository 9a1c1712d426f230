//! The reconciler: watched tasks → results, over an AWS account in memory and a provider on the loopback interface.

use std::time::{Duration, SystemTime};

use midihook::{
    bucket::keys,
    provider,
    reconciler::{Reconciler, TIMEOUTS},
};
use serde_json::{Value, json};

use crate::{
    fake::{Aws, BUCKET, Clock, Fault, QUEUE_URL, RESULTS_URL, WATCH_URL, sqs_event},
    server::{Reply, Server, json as answer},
};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const START: u64 = 1_795_478_400;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;
const SONG: &str = r#"{"code":200,"msg":"success","data":{"taskId":"t","successFlag":1,"midiData":{"state":"complete","instruments":[{"name":"Piano","notes":[{"pitch":60,"start":0,"end":1,"velocity":1}]}]}}}"#;
const PENDING: &str = r#"{"code":200,"msg":"success","data":{"taskId":"t","successFlag":0,"midiData":null}}"#;
const UNKNOWN: &str = r#"{"code":200,"msg":"success","data":null}"#;
const FAILED: &str = r#"{"code":200,"msg":"success","data":{"taskId":"t","successFlag":3,"errorCode":"531","errorMessage":"no vocals"}}"#;
const UNREADABLE: &str =
    r#"{"code":200,"msg":"success","data":{"taskId":"t","successFlag":1,"midiData":"https://example.com/a.mid"}}"#;
const WATCH: &str = r#"{"version":1,"taskId":"t"}"#;

/// The task `t` of an account, and the time there.
struct Task {
    aws: Aws,
    provider: Option<Server>,
    reconciler: Reconciler,
    now: u64,
}

impl Task {
    /// A provider that answers from this list.
    fn asked(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::new(Some(Server::new(replies)))
    }

    /// A stack without an API key.
    fn without_key() -> Self {
        Self::new(None)
    }

    fn new(provider: Option<Server>) -> Self {
        let aws = Aws::default();
        aws.state().api_key = Some(KEY.to_owned());
        let url = provider.as_ref().map(Server::url);
        Self {
            reconciler: aws.reconciler(url.as_deref().map(|url| (provider::https(), url))),
            aws,
            provider,
            now: START,
        }
    }

    fn reconciler_of_another_process(&self) -> Reconciler {
        let url = self.provider.as_ref().map(Server::url);
        self.aws.reconciler(url.as_deref().map(|url| (provider::https(), url)))
    }

    fn clock(&self) -> SystemTime {
        // Not a whole second, because a listing is more exact than a HEAD.
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.now) + Duration::from_millis(400)
    }

    /// Gives the reconciler these messages. Returns which of them come back.
    async fn look(&self, messages: &[&str]) -> Vec<String> {
        self.aws.state().clock = Clock::Stopped(self.clock());
        let response = self.reconciler.handle(sqs_event(messages), self.clock()).await;
        let failures = response.batch_item_failures.into_iter();
        failures.map(|failure| failure.item_identifier).collect()
    }

    /// Gives the reconciler one message, which must not come back.
    async fn done(&self, message: &str) {
        assert_eq!(self.look(&[message]).await, [""; 0], "{message}");
    }

    /// Waits for the message of the next look, and looks. Returns how long it waited.
    async fn next(&mut self) -> u64 {
        let (message, delay) = self.waiting();
        // The message was sent a second after that look began.
        self.now += delay + 1;
        self.done(&message).await;
        delay
    }

    /// Looks until the watch has ended.
    async fn ended(&mut self) {
        while self.watch("state") == "watching" {
            self.next().await;
        }
    }

    /// The message of the next look, and its delay.
    fn waiting(&self) -> (String, u64) {
        let state = self.aws.state();
        let sent = state.calls.iter().rev().filter(|call| call.what == "SendMessage");
        let mut sent = sent.map(|call| serde_json::from_slice::<Value>(&call.body).unwrap());
        let sent = sent.find(|sent| sent["QueueUrl"] == WATCH_URL).unwrap();
        let delay = sent["DelaySeconds"].as_u64().unwrap();
        assert!((30..=900).contains(&delay));
        (sent["MessageBody"].as_str().unwrap().to_owned(), delay)
    }

    fn sent_to(&self, queue: &str) -> Vec<String> {
        let state = self.aws.state();
        let sent = state.messages.iter().filter(|(url, _)| url == queue);
        sent.map(|(_, body)| body.clone()).collect()
    }

    /// How often the provider was asked.
    fn asks(&self) -> usize {
        self.provider.as_ref().unwrap().received().len()
    }

    /// The member of the task's object.
    fn watch(&self, member: &str) -> Value {
        let object: Value = serde_json::from_slice(&self.aws.body("watch/t.json")).unwrap();
        object[member].clone()
    }

    fn document(&self) -> Value {
        serde_json::from_slice(&self.aws.body("midi/t.json")).unwrap()
    }

    /// Stores a body as the receiver does. Returns its event.
    fn body(&self, body: &str) -> String {
        self.aws.state().clock = Clock::Stopped(self.clock());
        let key = keys::body(&"t".parse().unwrap(), body.as_bytes());
        let timestamp = self.now.to_string();
        self.aws
            .put(&key, body.as_bytes(), &[("webhook-timestamp", &timestamp)]);
        arrived(BUCKET, &key)
    }

    /// Renders all jobs that were queued so far.
    async fn render(&self) {
        self.render_these(self.sent_to(QUEUE_URL)).await;
    }

    async fn render_these(&self, jobs: Vec<String>) {
        self.aws.state().clock = Clock::Stopped(self.clock());
        for job in jobs {
            self.render_one(&job).await;
        }
    }

    async fn render_one(&self, job: &str) {
        let response = self.aws.renderer().handle(sqs_event(&[job]), self.clock()).await;
        assert!(response.batch_item_failures.is_empty());
    }
}

/// EventBridge's event of a new object.
pub fn arrived(bucket: &str, key: &str) -> String {
    json!({"source": "aws.s3", "detail-type": "Object Created", "version": "0",
        "detail": {"bucket": {"name": bucket}, "object": {"key": key}}})
    .to_string()
}

#[tokio::test]
async fn a_task_that_never_calls_back_becomes_a_song() {
    let mut task = Task::asked([answer(PENDING), answer(PENDING), answer(SONG)]);
    task.done(WATCH).await;
    assert_eq!(
        (task.watch("state"), task.watch("source")),
        ("watching".into(), "message".into())
    );
    assert_eq!(
        (task.watch("since"), task.watch("lastAsked")),
        (START.into(), (START + 1).into())
    );
    assert_eq!(task.watch("said"), "the provider has not finished");
    task.next().await;
    assert_eq!(task.sent_to(QUEUE_URL), [""; 0]);
    task.next().await;

    let object = keys::body(&"t".parse().unwrap(), SONG.as_bytes());
    assert_eq!(task.aws.body(&object), SONG.as_bytes());
    let headers = task.aws.state().objects[&object].headers.clone();
    assert_eq!(headers["x-amz-meta-source"], "poll");
    assert_eq!(headers["x-amz-meta-webhook-timestamp"], (task.now + 1).to_string());
    assert_eq!(task.sent_to(QUEUE_URL).len(), 1);

    // The renderer is slow: no second job, no question.
    task.next().await;
    assert_eq!((task.sent_to(QUEUE_URL).len(), task.asks()), (1, 3));
    task.render().await;
    task.next().await;
    assert_eq!(task.document()["state"], "rendered");
    assert_eq!(task.watch("state"), "done");
    let looks = task.sent_to(WATCH_URL).len();
    assert_eq!(looks, 4, "nobody looks again");

    // What comes late changes nothing.
    let (last, _) = task.waiting();
    let event = arrived(BUCKET, &object);
    for message in [last.as_str(), WATCH, &event] {
        task.done(message).await;
    }
    assert_eq!((task.sent_to(WATCH_URL).len(), task.asks()), (looks, 3));
}

#[tokio::test]
async fn a_failure_at_the_provider_is_a_result() {
    let mut task = Task::asked([answer(FAILED)]);
    task.done(WATCH).await;
    assert_eq!(
        task.aws.body(&keys::body(&"t".parse().unwrap(), FAILED.as_bytes())),
        FAILED.as_bytes()
    );
    task.render().await;
    task.next().await;
    let document = task.document();
    assert_eq!(document["state"], "failed");
    assert_eq!(document["failure"], json!({"code": 531, "message": "no vocals"}));
    assert_eq!((task.watch("state"), task.asks()), ("done".into(), 1));
}

#[tokio::test]
async fn a_task_that_is_unknown_for_an_hour_ends() {
    let mut task = Task::asked(vec![answer(UNKNOWN); 4]);
    task.done(WATCH).await;
    task.now += HOUR - 60;
    task.done(WATCH).await;
    assert_eq!(task.watch("state"), "watching");
    let begun = task.watch("unknownSince");
    assert_eq!(begun, START + 1);
    task.next().await;
    assert_eq!(task.watch("state"), "unknown");
    let document = task.document();
    assert_eq!((&document["state"], document.get("source")), (&"unknown".into(), None));
    let announced: Value = serde_json::from_str(&task.sent_to(RESULTS_URL)[0]).unwrap();
    assert_eq!(
        (&announced["state"], &announced["bucket"]),
        (&"unknown".into(), &BUCKET.into())
    );
    let looks = task.sent_to(WATCH_URL).len();
    let (last, _) = task.waiting();
    task.done(&last).await;
    assert_eq!((task.sent_to(WATCH_URL).len(), task.asks()), (looks, 3));

    // A new message begins a new watch.
    task.now += DAY;
    task.done(WATCH).await;
    assert_eq!(
        (task.watch("state"), task.watch("since")),
        ("watching".into(), task.now.into())
    );
}

#[tokio::test]
async fn after_14_days_a_task_expires_and_a_late_callback_still_wins() {
    let mut task = Task::asked([answer(PENDING), answer(PENDING)]);
    task.done(WATCH).await;
    task.now = START + 14 * DAY - 1;
    task.done(&task.waiting().0).await;
    assert_eq!((task.watch("state"), task.waiting().1), ("watching".into(), 900));
    task.next().await;
    assert_eq!((task.watch("state"), task.asks()), ("expired".into(), 2));
    let document = task.document();
    assert_eq!((&document["state"], document.get("source")), (&"expired".into(), None));
    let warning = document["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("14 days") && warning.ends_with("the provider has not finished"),
        "{warning}"
    );
    assert_eq!(task.sent_to(RESULTS_URL).len(), 1);

    task.now += DAY;
    let event = task.body(SONG);
    task.done(&event).await;
    assert_eq!(task.watch("state"), "watching");
    task.render().await;
    assert_eq!(task.document()["state"], "rendered");
    task.next().await;
    assert_eq!(task.watch("state"), "done");
}

#[tokio::test]
async fn an_end_never_replaces_a_song() {
    let mut task = Task::asked([]);
    task.body(SONG);
    task.done(WATCH).await;
    assert_eq!(task.sent_to(QUEUE_URL).len(), 1);
    // Rendered in the moment before the watch ends.
    task.render().await;
    let song = task.document();
    task.now = START + 15 * DAY;
    task.done(&task.waiting().0).await;
    assert_eq!((task.document(), task.watch("state")), (song, "done".into()));
}

#[tokio::test]
async fn a_body_without_a_job_gets_one() {
    let mut task = Task::without_key();
    let event = task.body(SONG);
    task.now += 120;
    task.done(&event).await;
    assert_eq!(task.watch("source"), "callback");
    assert_eq!(task.sent_to(QUEUE_URL).len(), 1);
    task.next().await;
    assert_eq!(task.sent_to(QUEUE_URL).len(), 1, "the job may be on its way");
    // The job vanished.
    task.now += 900;
    task.next().await;
    assert_eq!(task.sent_to(QUEUE_URL).len(), 2);
    task.render().await;
    task.next().await;
    assert_eq!(task.watch("state"), "done");
}

#[tokio::test]
async fn a_body_that_came_while_its_task_expired_is_rendered() {
    let mut task = Task::asked([answer(PENDING)]);
    task.done(WATCH).await;
    task.now = START + 14 * DAY;
    // It was stored after the look had searched for bodies, and its job was lost.
    let event = task.body(SONG);
    let body = task
        .aws
        .state()
        .objects
        .remove(&keys::body(&"t".parse().unwrap(), SONG.as_bytes()))
        .unwrap();
    task.done(&task.waiting().0).await;
    assert_eq!(task.document()["state"], "expired");
    task.aws
        .state()
        .objects
        .insert(keys::body(&"t".parse().unwrap(), SONG.as_bytes()), body);
    task.now += 120;
    task.done(&event).await;
    task.render().await;
    assert_eq!((task.document()["state"].clone(), task.asks()), ("rendered".into(), 1));
    task.ended().await;
    assert_eq!(task.watch("state"), "done");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_kept_once_and_the_provider_is_asked_again() {
    let mut task = Task::asked([answer(UNREADABLE), answer(UNREADABLE), answer(SONG)]);
    task.done(WATCH).await;
    task.render().await;
    assert_eq!(task.document()["state"], "unreadable");
    while task.asks() < 3 {
        task.next().await;
    }
    assert_eq!(task.sent_to(QUEUE_URL).len(), 2, "one job for each different answer");
    task.render().await;
    task.ended().await;
    assert_eq!(
        (task.document()["state"].clone(), task.watch("state")),
        ("rendered".into(), "done".into())
    );
}

#[tokio::test]
async fn a_body_that_says_nothing_useful_makes_us_ask() {
    for useless in ["nonsense", PENDING, UNREADABLE] {
        let mut task = Task::asked([answer(SONG)]);
        task.body(useless);
        task.done(WATCH).await;
        task.render().await;
        task.next().await;
        assert_eq!(task.asks(), 1, "{useless}");
        task.render().await;
        task.next().await;
        assert_eq!(task.document()["state"], "rendered", "{useless}");
        task.ended().await;
        assert_eq!((task.watch("state"), task.asks()), ("done".into(), 1));
    }
}

#[tokio::test]
async fn without_an_api_key_a_callback_is_waited_for() {
    let mut task = Task::without_key();
    task.done(WATCH).await;
    let mut pauses = vec![task.waiting().1];
    while task.now < START + 2 * HOUR {
        task.next().await;
        pauses.push(task.waiting().1);
    }
    assert_eq!((pauses[0], pauses.last()), (30, Some(&900)));
    assert!(pauses.is_sorted() && pauses.len() < 40, "{pauses:?}");
    assert!(task.watch("said").as_str().unwrap().contains("no API key"));
    task.body(SONG);
    task.next().await;
    task.render().await;
    task.next().await;
    assert_eq!(
        (task.document()["state"].clone(), task.watch("state")),
        ("rendered".into(), "done".into())
    );
}

#[tokio::test]
async fn a_provider_that_wants_no_questions_gets_none_about_any_task() {
    let slow = |code| {
        Reply::Answer(
            200,
            "retry-after: 1000\r\n",
            format!(r#"{{"code":{code},"msg":"no"}}"#).into(),
        )
    };
    for code in [429, 433, 455] {
        let mut task = Task::asked([slow(code), answer(PENDING)]);
        task.done(WATCH).await;
        assert_eq!(task.watch("askAfter"), START + 1001, "{code}");
        assert!(
            task.watch("said").as_str().is_some_and(|said| !said.is_empty()),
            "{code}"
        );
        assert_eq!(task.waiting().1, 900, "{code}");
        task.done(r#"{"version":1,"taskId":"u"}"#).await;
        task.now += 900;
        task.done(&task.waiting().0).await;
        assert_eq!(task.asks(), 1, "{code}");
        task.now += 102;
        task.done(WATCH).await;
        assert_eq!(task.asks(), 2, "{code}");
    }
}

#[tokio::test]
async fn while_one_look_asks_no_other_does() {
    let mut task = Task::asked([Reply::Silence, answer(PENDING)]);
    let other = Task {
        aws: task.aws.clone(),
        provider: None,
        reconciler: task.reconciler_of_another_process(),
        now: START + 15,
    };
    // The first look is killed while the provider is silent.
    tokio::select! {
        () = task.done(WATCH) => panic!("the provider is silent"),
        () = async {
            while task.asks() == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other.done(WATCH).await;
        } => {}
    }
    assert_eq!(task.asks(), 1);
    task.now += 75;
    task.done(WATCH).await;
    assert_eq!(task.asks(), 2);
}

#[tokio::test]
async fn each_question_takes_a_second() {
    let task = Task::asked(vec![answer(UNKNOWN); 3]);
    let began = std::time::Instant::now();
    let messages = ["t", "u", "v"].map(|task| format!(r#"{{"version":1,"taskId":"{task}"}}"#));
    task.look(&messages.each_ref().map(String::as_str)).await;
    assert_eq!(task.asks(), 3);
    assert!(began.elapsed() >= Duration::from_secs(3));
    let received = task.provider.as_ref().unwrap().received();
    for pair in received.windows(2) {
        assert!(pair[1].at - pair[0].at >= Duration::from_millis(990));
    }
}

#[tokio::test]
async fn duplicates_end_with_the_next_look() {
    let mut task = Task::asked(vec![answer(PENDING); 3]);
    task.done(WATCH).await;
    task.now += 60;
    // Somebody asks although a message waits: the new one replaces it.
    let (first, _) = task.waiting();
    task.done(WATCH).await;
    let (second, _) = task.waiting();
    assert_ne!(first, second);
    let looks = task.sent_to(WATCH_URL).len();
    task.now += 60;
    assert_eq!(task.look(&[&first, &second, &second]).await, [""; 0]);
    assert_eq!((task.sent_to(WATCH_URL).len(), task.asks()), (looks + 1, 3));
}

#[tokio::test]
async fn a_forged_number_is_one_more_look_and_ends_no_watch() {
    let mut task = Task::without_key();
    task.done(WATCH).await;
    let (usual, _) = task.waiting();
    for (look, forged) in (2..).zip([7, u64::MAX - 1, u64::MAX]) {
        task.done(&json!({"version": 1, "taskId": "t", "look": forged}).to_string())
            .await;
        assert_eq!(task.watch("look"), look, "{forged}");
    }
    task.done(&usual).await;
    assert_eq!(task.watch("look"), 4, "a duplicate by now");
    task.next().await;
    assert_eq!((task.watch("look"), task.watch("state")), (5.into(), "watching".into()));
}

#[tokio::test(start_paused = true)]
async fn a_crash_anywhere_loses_no_look() {
    // Whatever call fails, the message comes back, and then the task has one message that counts.
    for what in ["GET watch/", "HEAD midi/", "LIST raw/", "PUT watch/", "SendMessage"] {
        let task = Task::without_key();
        task.aws.fail(what, vec![Fault::Status(500); TIMEOUTS.tries as usize]);
        assert_eq!(task.look(&[WATCH]).await, ["m1"], "{what}");
        task.done(WATCH).await;
        let sent = task.sent_to(WATCH_URL);
        let counts = sent
            .iter()
            .filter(|message| message.contains(&format!(r#""look":{}"#, task.watch("look"))));
        assert!(counts.count() >= 1, "{what}: {sent:?}");
    }
}

#[tokio::test]
async fn after_a_crash_one_message_is_left_and_not_two() {
    for fault in [Fault::Crash, Fault::CrashAfter] {
        for what in ["GET watch/", "HEAD midi/", "LIST raw/", "PUT watch/", "SendMessage"] {
            let mut task = Task::without_key();
            task.aws.fail(what, [fault]);
            let mut queue = vec![WATCH.to_owned()];
            for look in 0..6 {
                task.now += 60;
                for message in std::mem::take(&mut queue) {
                    let sent = task.sent_to(WATCH_URL).len();
                    let process = task.aws.process();
                    task.reconciler = process.reconciler(None);
                    let messages = [message.as_str()];
                    let survived = tokio::select! {
                        returned = task.look(&messages) => returned.is_empty(),
                        () = process.killed() => false,
                    };
                    assert!(survived || look == 0, "{fault:?} of {what}: once");
                    queue.extend(task.sent_to(WATCH_URL).split_off(sent));
                    if !survived {
                        queue.push(message);
                    }
                }
            }
            assert_eq!(queue.len(), 1, "{fault:?} of {what}: {queue:?}");
            assert!(
                queue[0].contains(&format!(r#""look":{}"#, task.watch("look"))),
                "{queue:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_object_that_changes_meanwhile_is_looked_at_again() {
    let task = Task::without_key();
    task.aws.fail("PUT watch/", [Fault::Status(412), Fault::Status(409)]);
    task.done(WATCH).await;
    assert_eq!(task.watch("state"), "watching");
}

#[tokio::test]
async fn hostile_messages_come_back_and_nothing_is_written() {
    let task = Task::asked([]);
    let elsewhere = arrived("elsewhere", "raw/t/a.json");
    let hostile = [
        "",
        "poison",
        "{}",
        r#"{"version":2,"taskId":"t"}"#,
        r#"{"version":1,"taskId":"../t"}"#,
        r#"{"version":1,"taskId":"t","look":"1"}"#,
        &elsewhere,
    ];
    let returned: Vec<String> = (1..=hostile.len()).map(|id| format!("m{id}")).collect();
    assert_eq!(task.look(&hostile).await, returned);
    assert_eq!((task.aws.object_names(), task.aws.messages()), (vec![], vec![]));
    assert_eq!(task.asks(), 0);

    // Nobody overwrites what is not understood.
    task.aws.put("watch/t.json", br#"{"version":2}"#, &[]);
    assert_eq!(task.look(&[WATCH]).await, ["m1"]);
    assert_eq!(task.aws.body("watch/t.json"), br#"{"version":2}"#);
}

#[tokio::test]
async fn the_api_key_is_in_no_object_and_no_message() {
    let quotes = format!(r#"{{"code":401,"msg":"the key {KEY} is wrong"}}"#);
    let mut task = Task::asked([answer(quotes), answer(PENDING)]);
    task.done(WATCH).await;
    assert!(
        task.watch("said")
            .as_str()
            .unwrap()
            .starts_with("the provider refused the API key")
    );
    assert_eq!(task.waiting().1, 900);
    task.next().await;
    // The key was read again, because it may have been changed.
    let readings = task
        .aws
        .calls()
        .iter()
        .filter(|call| call.starts_with("GetSecretValue"))
        .count();
    assert_eq!((readings, task.asks()), (2, 2));
    let state = task.aws.state();
    assert!(
        state
            .written
            .iter()
            .all(|(_, object)| !String::from_utf8_lossy(&object.body).contains(KEY))
    );
    assert!(state.messages.iter().all(|(_, body)| !body.contains(KEY)));
    assert!(!format!("{:?}", task.reconciler).contains(KEY));
}

#[tokio::test]
async fn an_api_key_that_cannot_be_read_does_not_end_the_watch() {
    for unusable in [None, Some("two words")] {
        let mut task = Task::asked([answer(PENDING)]);
        task.aws.state().api_key = unusable.map(str::to_owned);
        task.done(WATCH).await;
        assert!(task.watch("said").as_str().unwrap().contains("API key cannot be read"));
        task.aws.state().api_key = Some(KEY.to_owned());
        task.next().await;
        assert_eq!(task.asks(), 1);
    }
}
