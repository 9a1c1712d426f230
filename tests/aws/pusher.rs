//! The pusher: what it sends to the receiver, what counts as success, and when it tries again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use aws_lambda_events::event::sqs::SqsEvent;
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use midihook::{
    aws::secrets::REREAD_AFTER,
    pusher::{
        push::TIMEOUT,
        webhooks::{PushSecret, signatures},
    },
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fake::{Aws, BUCKET, Fault};

const URL: &str = "https://receiver.test/hooks?token=t0ken";
const OBJECT: &str = "midi/t.json";
const DOCUMENT: &[u8] = br#"{"taskId":"t","state":"rendered"}"#;
const NOW: u64 = 1_795_478_400;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// How often SQS gives out a message, as in template.yaml.
const TRIES: u32 = 16;
/// The waits without jitter, in seconds. All further ones are as long as the last.
const SCHEDULE: [u64; 8] = [5, 15, 45, 135, 405, 1215, 3645, 10_800];
/// The longest wait, with its jitter: template.yaml keeps an alarm on for longer.
const LONGEST_WAIT: u64 = 12960;
/// How old a push that fails must be for the alarm, as in template.yaml.
const ALARM_AGE: u64 = 1800;

/// What the receiver does with one push.
#[derive(Debug, Clone, Copy)]
enum Reply {
    Status(u16),
    /// With `Retry-After`.
    Later(u16, &'static str),
    Refused,
    Silence,
}

/// A push as it arrived.
#[derive(Debug, Clone)]
struct Received {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        &self.headers[name]
    }

    /// Whether the signatures are those of these secrets.
    fn is_signed_by(&self, secrets: &[&str]) -> bool {
        let secrets: Vec<_> = secrets.iter().map(|text| PushSecret::new(text).unwrap()).collect();
        let timestamp = self.header("webhook-timestamp").parse().unwrap();
        self.header("webhook-signature") == signatures(&secrets, self.header("webhook-id"), timestamp, &self.body)
    }
}

/// A receiver that answers with `replies`, in order, and then with 204.
#[derive(Debug, Clone, Default)]
struct Receiver(Arc<Mutex<(VecDeque<Reply>, Vec<Received>)>>);

impl Receiver {
    fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self(Arc::new(Mutex::new((replies.into_iter().collect(), Vec::new()))))
    }

    fn state(&self) -> MutexGuard<'_, (VecDeque<Reply>, Vec<Received>)> {
        self.0.lock().unwrap()
    }

    fn received(&self) -> Vec<Received> {
        self.state().1.clone()
    }
}

impl HttpConnector for Receiver {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter();
        let received = Received {
            line: format!("{} {}", request.method(), request.uri()),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: request.body().bytes().unwrap().to_vec(),
        };
        let mut state = self.state();
        state.1.push(received);
        let reply = state.0.pop_front().unwrap_or(Reply::Status(204));
        HttpConnectorFuture::new(async move {
            let (status, retry_after) = match reply {
                Reply::Status(status) => (status, None),
                Reply::Later(status, retry_after) => (status, Some(retry_after)),
                Reply::Refused => return Err(ConnectorError::io("connection refused".into())),
                Reply::Silence => std::future::pending().await,
            };
            let mut answer = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from("{}"));
            answer.headers_mut().insert("location", "https://elsewhere.test/");
            answer.headers_mut().insert("date", "Wed, 21 Oct 2026 07:28:00 GMT");
            if let Some(retry_after) = retry_after {
                answer.headers_mut().insert("retry-after", retry_after);
            }
            Ok(answer)
        })
    }
}

/// An account with a result and a secret.
fn account() -> Aws {
    let aws = Aws::with_key(SECRET);
    aws.put(OBJECT, DOCUMENT, &[]);
    aws
}

fn pusher(aws: &Aws, receiver: &Receiver) -> midihook::pusher::Pusher {
    aws.pusher(SharedHttpConnector::new(receiver.clone()), URL)
}

/// EventBridge's event about an object, as SQS has it.
fn about(object: &str) -> String {
    json!({
        "version": "0", "source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": BUCKET}, "object": {"key": object, "etag": "e"}},
    })
    .to_string()
}

/// Receives a message for the n-th time, `later` seconds after the first. Returns whether it is done.
async fn try_to_push(pusher: &midihook::pusher::Pusher, body: &str, receives: u32, later: u64) -> bool {
    try_to_push_message(pusher, "m", body, receives, later).await
}

/// The same with a message of this id.
async fn try_to_push_message(
    pusher: &midihook::pusher::Pusher,
    id: &str,
    body: &str,
    receives: u32,
    later: u64,
) -> bool {
    let event: SqsEvent = serde_json::from_value(json!({"Records": [{
        "messageId": id, "receiptHandle": "receipt", "body": body,
        "attributes": {"ApproximateReceiveCount": receives.to_string()},
    }]}))
    .unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + later);
    let failures = pusher.handle(event, now).await.batch_item_failures;
    assert!(failures.iter().all(|failure| failure.item_identifier == id));
    failures.is_empty()
}

/// A wait with jitter: so many seconds, and up to a fifth more.
fn about_seconds(wait: u64, seconds: u64) -> bool {
    (seconds..=seconds + seconds / 5).contains(&wait)
}

/// For how long the message was put off, each time.
fn waits(aws: &Aws) -> Vec<u64> {
    let state = aws.state();
    let calls = state.calls.iter().filter(|call| call.what == "ChangeMessageVisibility");
    let bodies = calls.map(|call| serde_json::from_slice::<Value>(&call.body).unwrap());
    bodies
        .map(|body| {
            assert_eq!(body["ReceiptHandle"], "receipt");
            body["VisibilityTimeout"].as_u64().unwrap()
        })
        .collect()
}

#[tokio::test]
async fn a_result_is_pushed_with_a_signature() {
    let (aws, receiver) = (account(), Receiver::default());
    assert!(try_to_push(&pusher(&aws, &receiver), &about(OBJECT), 1, 0).await);
    let [push] = receiver.received().try_into().unwrap();
    assert_eq!(push.line, format!("POST {URL}"));
    assert_eq!(push.body, DOCUMENT, "the document, byte for byte");
    assert_eq!(push.header("content-type"), "application/json");
    assert_eq!(push.header("webhook-timestamp"), NOW.to_string());
    assert!(!push.header("webhook-id").contains('.'));
    assert!(push.is_signed_by(&[SECRET]));
    assert!(waits(&aws).is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_2xx_in_time_is_success() {
    for status in [200, 201, 202, 204, 299] {
        let receiver = Receiver::new([Reply::Status(status)]);
        assert!(
            try_to_push(&pusher(&account(), &receiver), &about(OBJECT), 1, 0).await,
            "{status}"
        );
    }
    let statuses = [300, 301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 502, 503];
    for reply in statuses
        .map(Reply::Status)
        .into_iter()
        .chain([Reply::Refused, Reply::Silence])
    {
        let (aws, receiver, began) = (account(), Receiver::new([reply]), Instant::now());
        assert!(
            !try_to_push(&pusher(&aws, &receiver), &about(OBJECT), 1, 0).await,
            "{reply:?}"
        );
        assert_eq!(
            receiver.received().len(),
            1,
            "no redirect is followed, and SQS tries again"
        );
        let [wait] = waits(&aws).try_into().unwrap();
        assert!(about_seconds(wait, 5), "{wait}");
        assert_eq!(began.elapsed() >= TIMEOUT, matches!(reply, Reply::Silence), "{reply:?}");
    }
}

#[tokio::test]
async fn each_try_of_one_result_has_the_same_id_and_its_own_time() {
    let (aws, receiver) = (account(), Receiver::new([Reply::Status(500), Reply::Refused]));
    for (receives, done) in [(1, false), (2, false), (3, true)] {
        // Another process each time.
        let pusher = pusher(&aws, &receiver);
        assert_eq!(
            try_to_push(&pusher, &about(OBJECT), receives, 100 * u64::from(receives)).await,
            done
        );
    }
    let pushes = receiver.received();
    assert!(
        pushes
            .iter()
            .all(|push| push.header("webhook-id") == pushes[0].header("webhook-id"))
    );
    let times: Vec<_> = pushes
        .iter()
        .map(|push| push.header("webhook-timestamp").to_owned())
        .collect();
    assert_eq!(times, [100, 200, 300].map(|later| (NOW + later).to_string()));
    assert!(pushes.iter().all(|push| push.is_signed_by(&[SECRET])));
}

#[tokio::test]
async fn a_late_try_pushes_the_result_that_stands_under_its_own_id() {
    let (aws, receiver) = (account(), Receiver::new([Reply::Status(500)]));
    let pusher = pusher(&aws, &receiver);
    assert!(!try_to_push(&pusher, &about(OBJECT), 1, 0).await);
    let newer = br#"{"taskId":"t","state":"rendered","newer":true}"#;
    aws.put(OBJECT, newer, &[]);
    assert!(
        try_to_push(&pusher, &about(OBJECT), 2, 5).await,
        "the message about the old result"
    );
    assert!(
        try_to_push(&pusher, &about(OBJECT), 1, 6).await,
        "the message about the new one"
    );
    let [old, late, new] = receiver.received().try_into().unwrap();
    assert_eq!((late.body.as_slice(), new.body.as_slice()), (&newer[..], &newer[..]));
    assert_ne!(old.header("webhook-id"), new.header("webhook-id"));
    assert_eq!(
        late.header("webhook-id"),
        new.header("webhook-id"),
        "the receiver sees a repetition"
    );
}

#[tokio::test]
async fn while_the_secret_is_rotated_both_sign() {
    let (aws, receiver) = (account(), Receiver::default());
    let pusher = pusher(&aws, &receiver);
    assert!(try_to_push(&pusher, &about(OBJECT), 1, 0).await);
    for (stage, secret) in [("AWSCURRENT", OTHER), ("AWSPREVIOUS", SECRET)] {
        aws.state().signing_keys.insert(stage, secret.to_owned());
    }
    assert!(try_to_push(&pusher, &about(OBJECT), 1, REREAD_AFTER.as_secs()).await);
    let [before, after] = receiver.received().try_into().unwrap();
    assert!(before.is_signed_by(&[SECRET]));
    assert!(after.is_signed_by(&[OTHER, SECRET]));
}

#[tokio::test]
async fn without_a_usable_secret_nothing_is_sent() {
    for secret in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        let (aws, receiver) = (account(), Receiver::default());
        aws.state().signing_keys.insert("AWSCURRENT", secret.to_owned());
        assert!(!try_to_push(&pusher(&aws, &receiver), &about(OBJECT), 1, 0).await);
        assert!(receiver.received().is_empty());
        let [wait] = waits(&aws).try_into().unwrap();
        assert!(about_seconds(wait, 5), "{wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn if_aws_fails_nothing_is_sent_and_the_message_comes_back() {
    for what in ["GET midi", "GetSecretValue AWSCURRENT", "GetSecretValue AWSPREVIOUS"] {
        let (aws, receiver) = (account(), Receiver::default());
        aws.fail(what, [Fault::Status(500); 3]);
        let pusher = pusher(&aws, &receiver);
        assert!(!try_to_push(&pusher, &about(OBJECT), 1, 0).await, "{what}");
        assert!(receiver.received().is_empty());
        assert!(try_to_push(&pusher, &about(OBJECT), 2, 5).await, "{what}");
    }
    let (aws, receiver) = (account(), Receiver::new([Reply::Status(500)]));
    aws.fail("ChangeMessageVisibility", [Fault::Status(500); 3]);
    assert!(!try_to_push(&pusher(&aws, &receiver), &about(OBJECT), 1, 0).await);
}

#[tokio::test]
async fn a_push_is_tried_for_more_than_a_day_and_less_and_less_often() {
    let (aws, receiver) = (account(), Receiver::new([Reply::Status(503); TRIES as usize]));
    let pusher = pusher(&aws, &receiver);
    for receives in 1..=TRIES {
        assert!(!try_to_push(&pusher, &about(OBJECT), receives, 0).await);
    }
    let waits = waits(&aws);
    for (wait, seconds) in waits.iter().zip(SCHEDULE) {
        assert!(about_seconds(*wait, seconds), "{waits:?}");
    }
    assert!(waits.is_sorted());
    let between_first_and_last: u64 = waits[..waits.len() - 1].iter().sum();
    assert!((86_400..2 * 86_400).contains(&between_first_and_last), "{waits:?}");
    assert!(waits.iter().all(|&wait| wait <= LONGEST_WAIT), "{waits:?}");
}

#[test]
fn the_alarm_rings_at_the_seventh_try() {
    let age = |tries: usize| SCHEDULE[..tries - 1].iter().sum::<u64>();
    assert!(
        age(6) + age(6) / 5 < ALARM_AGE && ALARM_AGE <= age(7),
        "whatever the jitter"
    );
}

#[tokio::test]
async fn pushes_that_failed_together_come_back_one_by_one() {
    let (aws, receiver) = (account(), Receiver::new([Reply::Status(503); 200]));
    let pusher = pusher(&aws, &receiver);
    for message in (0..100).chain(0..100) {
        let id = format!("message {message}");
        assert!(!try_to_push_message(&pusher, &id, &about(OBJECT), TRIES, 0).await);
    }
    let waits = waits(&aws);
    assert_eq!(
        waits[..100],
        waits[100..],
        "a message has its own jitter, not that of chance"
    );
    assert!(waits.iter().all(|&wait| about_seconds(wait, 10_800)), "{waits:?}");
    for tenth in 0..10 {
        let from = 10_800 + tenth * 216;
        assert!(
            waits.iter().any(|wait| (from..from + 216).contains(wait)),
            "the whole fifth is used: {waits:?}"
        );
    }
}

#[tokio::test]
async fn the_receiver_may_ask_for_a_longer_wait() {
    for (reply, receives, seconds) in [
        (Reply::Later(429, "60"), 1, 60),
        (Reply::Later(503, "60"), 1, 60),
        (Reply::Later(503, "Wed, 21 Oct 2026 07:38:00 GMT"), 1, 600),
        // Our own wait is longer.
        (Reply::Later(503, "0"), 1, 5),
        (Reply::Later(503, "60"), 4, 135),
        (Reply::Later(503, "Wed, 21 Oct 2026 07:27:00 GMT"), 1, 5),
        (Reply::Later(503, "soon"), 1, 5),
        // A wrong header must not cost a result.
        (Reply::Later(503, "86400"), 1, 10_800),
        (Reply::Later(503, "99999999999999999999999"), 1, 10_800),
        (Reply::Later(503, "Fri, 31 Dec 9999 23:59:59 GMT"), 1, 10_800),
    ] {
        let (aws, receiver) = (account(), Receiver::new([reply]));
        assert!(!try_to_push(&pusher(&aws, &receiver), &about(OBJECT), receives, 0).await);
        let [wait] = waits(&aws).try_into().unwrap();
        assert!(about_seconds(wait, seconds), "{reply:?}: {wait}");
    }
}

#[tokio::test]
async fn a_person_can_have_a_result_pushed_again() {
    let (aws, receiver) = (account(), Receiver::default());
    let message = r#"{"detail": {"object": {"key": "midi/t.json"}}}"#;
    assert!(try_to_push(&pusher(&aws, &receiver), message, 1, 0).await);
    assert_eq!(receiver.received()[0].body, DOCUMENT);
}

#[tokio::test]
async fn a_deleted_result_is_not_pushed() {
    let (aws, receiver) = (Aws::with_key(SECRET), Receiver::default());
    assert!(try_to_push(&pusher(&aws, &receiver), &about(OBJECT), 1, 0).await);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_message_that_is_not_about_a_result_goes_back() {
    let (aws, receiver) = (account(), Receiver::default());
    let pusher = pusher(&aws, &receiver);
    let others = ["raw/t/a.json", "midi/t.mid", "midi/t/x.json", "midi/.json"].map(about);
    for body in others.iter().map(String::as_str).chain(["", "{}", "[]", "not JSON"]) {
        assert!(!try_to_push(&pusher, body, 1, 0).await, "{body}");
    }
    assert!(receiver.received().is_empty());
}
