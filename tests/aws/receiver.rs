//! The receiver: requests → answers, and what is stored and queued.

use std::time::{Duration, SystemTime};

use lambda_http::{Body, Request};
use midihook::{
    aws::secrets::{ASK_AGAIN_AFTER, REREAD_AFTER},
    bucket::keys,
    receiver::{MAX_BODY_BYTES, PREPARATION, Receiver, without_url},
};
use serde_json::{Value, json};
use suno_midi::provider::signature::SigningKey;

use crate::fake::{Aws, BUCKET, Fault};

pub const KEY: &str = "test-key";
/// When the sample events were signed.
pub const NOW: u64 = 1_795_478_400;
const TASK: &str = "5c79c0ffeebe8e";

/// The status of the answer.
pub async fn verdict(receiver: &Receiver, request: &Request, now: SystemTime) -> u16 {
    receiver.handle(request.clone(), now).await.status().as_u16()
}

async fn answer(receiver: &Receiver, request: &Request) -> (u16, Value) {
    answer_after(Duration::ZERO, receiver, request).await
}

/// The answer if the receiver's clock is `later` than the sample events were signed.
async fn answer_after(later: Duration, receiver: &Receiver, request: &Request) -> (u16, Value) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW) + later;
    let response = receiver.handle(request.clone(), now).await;
    (
        response.status().as_u16(),
        serde_json::from_str(response.body()).unwrap(),
    )
}

fn event(name: &str) -> Request {
    let json = std::fs::read_to_string(format!("events/{name}.json")).unwrap();
    lambda_http::request::from_str(&json).unwrap()
}

pub fn signed(body: impl Into<Vec<u8>>, task_id: &str) -> Request {
    let body: Vec<u8> = body.into();
    request(
        body,
        &NOW.to_string(),
        &SigningKey::new(KEY).unwrap().sign(task_id, &NOW.to_string()),
    )
}

pub fn request(body: Vec<u8>, timestamp: &str, signature: &str) -> Request {
    lambda_http::http::Request::post("https://example.com/callback")
        .header("x-webhook-timestamp", timestamp)
        .header("x-webhook-signature", signature)
        .body(Body::Binary(body))
        .unwrap()
}

fn accepted(task_id: &str) -> (u16, Value) {
    (200, json!({"status": "accepted", "taskId": task_id}))
}

fn unauthorized() -> (u16, Value) {
    (401, json!({"error": "unauthorized"}))
}

fn unavailable() -> (u16, Value) {
    (503, json!({"error": "try again"}))
}

/// A request that is not answered 200 must leave nothing behind.
fn assert_nothing_kept(aws: &Aws) {
    assert_eq!(aws.object_names(), [""; 0]);
    assert_eq!(aws.messages(), [""; 0]);
}

#[tokio::test]
async fn a_callback_is_stored_then_queued_then_answered() {
    let aws = Aws::with_key(KEY);
    assert_eq!(answer(&aws.receiver(), &event("request-success")).await, accepted(TASK));

    let body = std::fs::read("events/callback-success.json").unwrap();
    let key = keys::body(&TASK.parse().unwrap(), &body);
    let calls = aws.calls();
    assert_eq!(
        calls[2..],
        [format!("PUT {key}"), "SendMessage".to_owned()],
        "in this order"
    );
    assert_eq!(aws.body(&key), body, "byte for byte");

    let put = aws.state().calls[2].clone();
    assert_eq!(put.headers["if-none-match"], "*");
    assert_eq!(put.headers["content-type"], "application/json");
    assert_eq!(put.headers["x-amz-meta-received-at"], "2026-11-24T00:00:00Z");
    assert_eq!(put.headers["x-amz-meta-webhook-timestamp"], NOW.to_string());
    assert_eq!(put.headers["x-amz-meta-source"], "callback");

    let job: Value = serde_json::from_str(&aws.messages()[0]).unwrap();
    assert_eq!(job, json!({"version": 1, "taskId": TASK, "bucket": BUCKET, "key": key}));
}

#[tokio::test]
async fn a_base64_encoded_body_is_stored_as_the_provider_sent_it() {
    let aws = Aws::with_key(KEY);
    assert_eq!(answer(&aws.receiver(), &event("request-base64")).await, accepted(TASK));
    let body = std::fs::read("events/callback-success.json").unwrap();
    assert_eq!(aws.body(&keys::body(&TASK.parse().unwrap(), &body)), body);
}

#[tokio::test]
async fn an_invalid_url_does_not_matter() {
    let json = std::fs::read_to_string("events/request-success.json").unwrap();
    let odd = |spoil: &dyn Fn(&mut Value)| {
        let mut event: Value = serde_json::from_str(&json).unwrap();
        spoil(&mut event);
        without_url(serde_json::from_value(event).unwrap()).into()
    };
    let requests: [Request; 5] = [
        odd(&|event| event["rawQueryString"] = "x=<\"".into()),
        odd(&|event| event["rawQueryString"] = " ".into()),
        odd(&|event| event["headers"]["x-forwarded-proto"] = "1".into()),
        odd(&|event| event["headers"]["x-forwarded-proto"] = "https,http".into()),
        odd(&|event| event["headers"]["host"] = "x:99999".into()),
    ];
    for request in requests {
        let aws = Aws::with_key(KEY);
        assert_eq!(answer(&aws.receiver(), &request).await, accepted(TASK));
    }
}

#[tokio::test]
async fn a_failure_callback_is_kept_too() {
    let aws = Aws::with_key(KEY);
    assert_eq!(
        answer(&aws.receiver(), &event("request-failure")).await,
        accepted("5c79c0ffeebe8f")
    );
    assert_eq!(aws.object_names().len(), 1);
}

#[tokio::test]
async fn the_same_body_again_is_one_object_and_another_job() {
    let aws = Aws::with_key(KEY);
    let receiver = aws.receiver();
    for _ in 0..5 {
        assert_eq!(answer(&receiver, &event("request-success")).await, accepted(TASK));
    }
    assert_eq!(aws.object_names().len(), 1);
    assert_eq!(aws.state().messages.len(), 5);
    assert_eq!(
        aws.calls()
            .iter()
            .filter(|call| call.starts_with("GetSecretValue"))
            .count(),
        2,
        "the keys are read once"
    );
}

#[tokio::test]
async fn another_body_of_the_task_is_kept_beside_the_first() {
    let aws = Aws::with_key(KEY);
    let receiver = aws.receiver();
    for body in [r#"{"taskId":"t","code":200}"#, r#"{"taskId":"t","code":500}"#] {
        assert_eq!(answer(&receiver, &signed(body, "t")).await, accepted("t"));
    }
    assert_eq!(aws.object_names().len(), 2);
}

#[tokio::test]
async fn a_put_that_races_is_tried_again_until_the_object_is_there() {
    let aws = Aws::with_key(KEY);
    aws.fail("PUT", [Fault::Status(409), Fault::Status(409)]);
    assert_eq!(answer(&aws.receiver(), &event("request-success")).await, accepted(TASK));
    assert_eq!((aws.object_names().len(), aws.state().messages.len()), (1, 1));

    let lost = Aws::with_key(KEY);
    lost.fail("PUT", vec![Fault::Status(409); 50]);
    assert_eq!(answer(&lost.receiver(), &event("request-success")).await, unavailable());
    assert_eq!(lost.messages(), [""; 0], "no job for an object that may not be there");
}

#[tokio::test]
async fn an_unsigned_request_leaves_nothing_and_learns_nothing() {
    let now = NOW.to_string();
    let key = SigningKey::new(KEY).unwrap();
    let body = br#"{"taskId":"t"}"#.to_vec();
    let good = key.sign("t", &now);
    let with = |timestamp: &str, signature: &str| request(body.clone(), timestamp, signature);
    let at = |seconds: u64| with(&seconds.to_string(), &key.sign("t", &seconds.to_string()));
    let without = |header: &str| {
        let mut request = with(&now, &good);
        request.headers_mut().remove(header);
        request
    };
    let twice = |header: &'static str, value: &str| {
        let mut request = with(&now, &good);
        request.headers_mut().append(header, value.parse().unwrap());
        request
    };
    for (why, unbelieved) in [
        ("wrong key", event("request-bad-signature")),
        ("another task's signature", with(&now, &key.sign("u", &now))),
        ("another time's signature", with(&(NOW + 1).to_string(), &good)),
        ("stale", at(NOW - 301)),
        ("future", at(NOW + 301)),
        ("milliseconds", at(NOW * 1000)),
        ("no timestamp", without("x-webhook-timestamp")),
        ("no signature", without("x-webhook-signature")),
        ("two timestamps", twice("x-webhook-timestamp", &now)),
        ("two signatures", twice("x-webhook-signature", &good)),
        ("not base64", with(&now, "***")),
        ("empty signature", with(&now, "")),
        ("truncated", with(&now, &good[..40])),
        (
            "two ids, neither signed",
            request(br#"{"taskId":"t","task_id":"u"}"#.to_vec(), &now, &key.sign("v", &now)),
        ),
        (
            "an unfit id, not signed",
            request(br#"{"taskId":"../t"}"#.to_vec(), &now, &good),
        ),
    ] {
        let aws = Aws::with_key(KEY);
        assert_eq!(answer(&aws.receiver(), &unbelieved).await, unauthorized(), "{why}");
        assert_nothing_kept(&aws);
    }
}

#[tokio::test]
async fn without_a_key_every_request_is_refused() {
    for aws in [Aws::default(), Aws::with_key(""), Aws::with_key(" \n")] {
        assert_eq!(answer(&aws.receiver(), &event("request-success")).await, unauthorized());
        assert_nothing_kept(&aws);
    }
}

#[tokio::test]
async fn only_a_signed_malformed_body_gets_the_reason() {
    for (body, signed_id, error) in [
        ("not json", "t", "malformed"),
        ("{}", "t", "malformed"),
        ("", "t", "malformed"),
        (
            r#"{"taskId":"t","data":{"taskId":"u"}}"#,
            "u",
            "the body names more than one task id",
        ),
        (
            r#"{"taskId":"../t"}"#,
            "../t",
            "the task id must be 1 to 128 characters of A-Z a-z 0-9 . _ - and neither \".\" nor \"..\"",
        ),
    ] {
        let aws = Aws::with_key(KEY);
        assert_eq!(
            answer(&aws.receiver(), &signed(body, signed_id)).await,
            (400, json!({"error": error})),
            "{body}"
        );
        assert_nothing_kept(&aws);
    }
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_any_call() {
    let aws = Aws::with_key(KEY);
    let large = signed(vec![b' '; MAX_BODY_BYTES + 1], "t");
    assert_eq!(
        answer(&aws.receiver(), &large).await,
        (413, json!({"error": "the body is too large"}))
    );
    assert_eq!(aws.calls(), [""; 0]);
}

#[tokio::test]
async fn both_keys_of_a_rotation_are_accepted() {
    let aws = Aws::with_key("new");
    aws.state().signing_keys.insert("AWSPREVIOUS", KEY.to_owned());
    assert_eq!(answer(&aws.receiver(), &event("request-success")).await, accepted(TASK));
}

#[tokio::test]
async fn the_first_callback_finds_a_rotated_key_and_a_stranger_cannot_cause_readings_without_end() {
    let aws = Aws::with_key("old");
    let receiver = aws.receiver();
    let readings = || {
        aws.calls()
            .iter()
            .filter(|call| *call == "GetSecretValue AWSCURRENT")
            .count()
    };
    let old = request(
        br#"{"taskId":"t"}"#.to_vec(),
        &NOW.to_string(),
        &SigningKey::new("old").unwrap().sign("t", &NOW.to_string()),
    );
    assert_eq!(answer(&receiver, &old).await, accepted("t"));
    assert_eq!(readings(), 1);

    aws.state().signing_keys.insert("AWSCURRENT", KEY.to_owned());
    aws.state().signing_keys.insert("AWSPREVIOUS", "old".to_owned());
    let later = Duration::from_secs(1);
    assert_eq!(
        answer_after(later, &receiver, &event("request-success")).await,
        accepted(TASK)
    );
    assert_eq!(
        answer_after(later, &receiver, &old).await,
        accepted("t"),
        "callbacks on their way when the key was rotated"
    );
    assert_eq!(readings(), 2);

    for millis in 0..100 {
        let later = later + Duration::from_millis(millis * 90);
        assert_eq!(
            answer_after(later, &receiver, &event("request-bad-signature")).await,
            unauthorized()
        );
    }
    assert_eq!(readings(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_between_the_readings_of_the_two_keys_hides_no_key() {
    fastrand::seed(1); // the SDK's retry delay, which the rotation must not outlast
    let aws = Aws::with_key(KEY);
    // The old key is no longer AWSCURRENT, and was not yet AWSPREVIOUS.
    aws.fail("GetSecretValue AWSCURRENT", [Fault::Status(503)]);
    let receiver = aws.receiver();
    let request = event("request-success");
    let rotation = async {
        tokio::time::sleep(Duration::from_micros(1)).await;
        assert_eq!(aws.calls(), ["GetSecretValue AWSCURRENT", "GetSecretValue AWSPREVIOUS"]);
        aws.state().signing_keys.insert("AWSCURRENT", "new".to_owned());
        aws.state().signing_keys.insert("AWSPREVIOUS", KEY.to_owned());
    };
    let (answered, ()) = tokio::join!(answer(&receiver, &request), rotation);
    assert_eq!(answered, accepted(TASK));
    let readings = aws
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("GetSecretValue"));
    assert_eq!(readings.count(), 5, "both keys, the failed one again, then both again");
}

#[tokio::test]
async fn keys_age_while_the_process_is_frozen() {
    let aws = Aws::with_key("stolen");
    let receiver = aws.receiver();
    let signed_at = |seconds: u64| {
        let now = (NOW + seconds).to_string();
        let signature = SigningKey::new("stolen").unwrap().sign("t", &now);
        request(br#"{"taskId":"t"}"#.to_vec(), &now, &signature)
    };
    assert_eq!(answer(&receiver, &signed_at(0)).await, accepted("t"));
    aws.state().signing_keys.insert("AWSCURRENT", KEY.to_owned());
    // Only the wall clock moves; the process is frozen.
    let night = REREAD_AFTER.as_secs();
    for (seconds, expected) in [(night - 1, accepted("t")), (night, unauthorized())] {
        let later = Duration::from_secs(seconds);
        assert_eq!(
            answer_after(later, &receiver, &signed_at(seconds)).await,
            expected,
            "{seconds}"
        );
    }
    // A clock that was set back does not make the keys fresh.
    let before = aws.calls().len();
    assert_eq!(answer(&receiver, &event("request-success")).await, accepted(TASK));
    assert!(aws.calls()[before].starts_with("GetSecretValue"));
}

#[tokio::test(start_paused = true)]
async fn when_aws_fails_the_provider_is_asked_to_call_again() {
    for what in [
        "GetSecretValue AWSCURRENT",
        "GetSecretValue AWSPREVIOUS",
        "PUT",
        "SendMessage",
    ] {
        let aws = Aws::with_key(KEY);
        aws.fail(what, vec![Fault::Status(500); 3]);
        let receiver = aws.receiver();
        let began = tokio::time::Instant::now();
        assert_eq!(
            answer(&receiver, &event("request-success")).await,
            unavailable(),
            "{what}"
        );
        assert_eq!(aws.state().messages.len(), 0, "{what}");
        let later = began.elapsed() + ASK_AGAIN_AFTER;
        assert_eq!(
            answer_after(later, &receiver, &event("request-success")).await,
            accepted(TASK),
            "{what}: the provider's retry"
        );
        assert_eq!((aws.object_names().len(), aws.state().messages.len()), (1, 1), "{what}");
    }
}

#[tokio::test]
async fn a_short_fault_is_retried_within_the_answer() {
    for what in ["GetSecretValue", "PUT", "SendMessage"] {
        for fault in [
            Fault::Status(500),
            Fault::Status(503),
            Fault::Throttled,
            Fault::AnswerLost,
        ] {
            let aws = Aws::with_key(KEY);
            aws.fail(what, [fault]);
            assert_eq!(
                answer(&aws.receiver(), &event("request-success")).await,
                accepted(TASK),
                "{what} {fault:?}"
            );
            assert_eq!(aws.object_names().len(), 1);
            assert!(!aws.state().messages.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_aws_hangs_there_is_an_answer_within_ten_seconds() {
    for what in ["GetSecretValue", "PUT", "SendMessage", ""] {
        let aws = Aws::with_key(KEY);
        aws.fail(what, vec![Fault::Hang; 100]);
        let began = tokio::time::Instant::now();
        assert_eq!(
            answer(&aws.receiver(), &event("request-success")).await,
            unavailable(),
            "{what}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{what}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn while_secrets_manager_fails_a_stranger_cannot_keep_it_busy() {
    let aws = Aws::with_key(KEY);
    let receiver = aws.receiver();
    assert_eq!(answer(&receiver, &event("request-success")).await, accepted(TASK));
    aws.fail("GetSecretValue", vec![Fault::Status(503); 1000]);
    let (before, began) = (aws.calls().len(), tokio::time::Instant::now());
    for _ in 0..100 {
        let stranger = event("request-bad-signature");
        assert_eq!(answer_after(began.elapsed(), &receiver, &stranger).await, unavailable());
    }
    assert!(aws.calls().len() - before <= 6, "one reading: two stages, three tries");
    assert!(began.elapsed() < Duration::from_secs(2), "and no other is waited for");
    assert_eq!(
        answer(&receiver, &event("request-success")).await,
        accepted(TASK),
        "the keys that are known"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_reading_that_hung_the_next_callback_does_not_wait() {
    let aws = Aws::with_key(KEY);
    let receiver = aws.receiver();
    aws.fail("GetSecretValue", vec![Fault::Hang; 1000]);
    let began = tokio::time::Instant::now();
    assert_eq!(answer(&receiver, &event("request-success")).await, unavailable());
    let (hung, calls) = (began.elapsed(), aws.calls().len());
    assert!(hung > ASK_AGAIN_AFTER);
    let later = hung + ASK_AGAIN_AFTER / 2;
    assert_eq!(
        answer_after(later, &receiver, &event("request-success")).await,
        unavailable()
    );
    assert_eq!((began.elapsed(), aws.calls().len()), (hung, calls));
}

#[tokio::test(start_paused = true)]
async fn what_every_callback_needs_is_prepared_before_the_first() {
    let aws = Aws::with_key(KEY);
    let receiver = aws.receiver();
    receiver
        .prepare(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
        .await;
    let mut prepared = aws.calls();
    prepared.sort();
    assert_eq!(
        prepared,
        [
            "GetBucketLocation",
            "GetQueueAttributes",
            "GetSecretValue AWSCURRENT",
            "GetSecretValue AWSPREVIOUS"
        ]
    );
    assert_nothing_kept(&aws);

    assert_eq!(answer(&receiver, &event("request-success")).await, accepted(TASK));
    assert_eq!(aws.calls().len(), 4 + 2, "only what stores and queues the callback");
}

#[tokio::test(start_paused = true)]
async fn the_first_callback_does_not_suffer_from_what_could_not_be_prepared() {
    for what in ["GetBucketLocation", "GetQueueAttributes", "GetSecretValue", ""] {
        for fault in [Fault::Status(500), Fault::Status(403), Fault::Refused, Fault::Hang] {
            let aws = Aws::with_key(KEY);
            aws.fail(what, vec![fault; 12]);
            let receiver = aws.receiver();
            let began = tokio::time::Instant::now();
            receiver
                .prepare(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
                .await;
            assert!(
                began.elapsed() <= PREPARATION,
                "{what} {fault:?}: {:?}",
                began.elapsed()
            );
            aws.heal();
            assert_eq!(
                answer(&receiver, &event("request-success")).await,
                accepted(TASK),
                "{what} {fault:?}"
            );
        }
    }
}
