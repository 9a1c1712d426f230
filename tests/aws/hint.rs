//! Callbacks as hints: what they can cause, and what not.

use std::time::{Duration, SystemTime};

use lambda_http::{Body, Request};
use midihook::receiver::{CallbackTrust, Receiver};
use serde_json::{Value, json};

use crate::{
    fake::{Aws, Fault, WATCH_URL},
    receiver::{KEY, request, signed, verdict},
};

const NOW: u64 = 1_795_478_400;

/// A receiver for which callbacks are hints.
fn hinted(aws: &Aws) -> Receiver {
    aws.receiver_with(CallbackTrust::Hint)
}

fn unsigned(body: &str) -> Request {
    lambda_http::http::Request::post("https://example.com/callback")
        .body(Body::Binary(body.into()))
        .unwrap()
}

async fn status(receiver: &Receiver, request: &Request, later: u64) -> u16 {
    // Not a whole second, as the times in objects are.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + later) + Duration::from_millis(400);
    verdict(receiver, request, now).await
}

/// An account in which the task `t` is watched, in this state.
fn watched(state: &str) -> Aws {
    let aws = Aws::default();
    let watch = json!({"version": 1, "taskId": "t", "since": NOW - 60, "source": "cli", "state": state, "look": 3, "lastAsked": NOW - 4, "askAfter": NOW + 6});
    aws.put("watch/t.json", watch.to_string().as_bytes(), &[]);
    aws
}

fn kept(aws: &Aws) -> Value {
    serde_json::from_slice(&aws.body("watch/t.json")).unwrap()
}

#[tokio::test]
async fn a_watched_task_is_looked_at_as_soon_as_the_provider_may_be_asked() {
    let aws = watched("watching");
    let receiver = hinted(&aws);
    assert_eq!(status(&receiver, &unsigned(r#"{"data":{"taskId":"t"}}"#), 0).await, 200);
    assert_eq!(
        aws.state().messages,
        [(WATCH_URL.to_owned(), r#"{"version":1,"taskId":"t"}"#.to_owned())]
    );
    let sent: Value = serde_json::from_slice(&aws.state().calls.last().unwrap().body).unwrap();
    assert_eq!(sent["DelaySeconds"], 6);
    assert_eq!(aws.object_names(), ["watch/t.json"], "it is not believed");
    assert_eq!((&kept(&aws)["look"], &kept(&aws)["lastHint"]), (&3.into(), &NOW.into()));
}

#[tokio::test]
async fn many_callbacks_about_a_task_cause_one_look_in_ten_seconds() {
    let aws = watched("watching");
    let receiver = hinted(&aws);
    let callback = unsigned(r#"{"task_id":"t"}"#);
    for later in [0, 1, 5, 10, 11, 15, 22] {
        assert_eq!(status(&receiver, &callback, later).await, 200);
    }
    assert_eq!(aws.messages().len(), 3);
}

#[tokio::test]
async fn a_callback_about_a_task_that_nobody_watches_is_refused_and_changes_nothing() {
    let body = r#"{"taskId":"t"}"#;
    for aws in [Aws::default(), watched("done"), watched("expired"), watched("later")] {
        let before = aws.object_names();
        assert_eq!(status(&hinted(&aws), &unsigned(body), 0).await, 401);
        assert_eq!((aws.messages(), aws.object_names()), (vec![], before));
    }
    // Two tasks, an id that cannot be a name, no id, and no JSON.
    let aws = watched("watching");
    for body in [r#"{"taskId":"t","task_id":"u"}"#, r#"{"taskId":"../t"}"#, "{}", "t"] {
        assert_eq!(status(&hinted(&aws), &unsigned(body), 0).await, 401, "{body}");
    }
    assert!(aws.calls().is_empty());
}

#[tokio::test]
async fn a_wrong_signature_is_no_missing_one() {
    let aws = watched("watching");
    aws.state().signing_keys.insert("AWSCURRENT", "key".to_owned());
    let body = br#"{"taskId":"t"}"#.to_vec();
    let receiver = hinted(&aws);
    assert_eq!(
        status(&receiver, &request(body, &NOW.to_string(), "AAAA"), 0).await,
        401
    );
    let half = lambda_http::http::Request::post("https://example.com/callback").header("x-webhook-timestamp", NOW);
    let half = half.body(Body::Binary(br#"{"taskId":"t"}"#.to_vec())).unwrap();
    assert_eq!(status(&receiver, &half, 0).await, 401);
    assert_eq!(aws.messages(), [""; 0]);
}

#[tokio::test]
async fn by_default_unsigned_callbacks_are_refused() {
    let aws = watched("watching");
    assert_eq!(status(&aws.receiver(), &unsigned(r#"{"taskId":"t"}"#), 0).await, 401);
    assert!(aws.calls().is_empty());
}

const BODY: &str = r#"{"code":200,"data":{"taskId":"t","instruments":[]}}"#;

#[tokio::test]
async fn a_signed_callback_stores_nothing_and_begins_a_watch() {
    for state in ["done", "expired", "unknown", "watching", ""] {
        let aws = if state.is_empty() {
            Aws::default()
        } else {
            watched(state)
        };
        aws.state().signing_keys.insert("AWSCURRENT", KEY.to_owned());
        let receiver = hinted(&aws);
        for later in [0, 1, 5, 12] {
            assert_eq!(status(&receiver, &signed(BODY, "t"), later).await, 200, "{state}");
        }
        assert_eq!(aws.object_names(), ["watch/t.json"], "{state}");
        assert_eq!(
            aws.messages(),
            [r#"{"version":1,"taskId":"t"}"#; 2],
            "{state}: one in ten seconds"
        );
        assert_eq!(kept(&aws)["state"], if state.is_empty() { "watching" } else { state });
    }
}

#[tokio::test]
async fn another_product_begins_no_watch() {
    let aws = Aws::with_key(KEY);
    let other = r#"{"code":200,"data":{"taskId":"t","audioWavUrl":"https://example.com/a.wav"}}"#;
    assert_eq!(status(&hinted(&aws), &signed(other, "t"), 0).await, 200);
    assert_eq!((aws.object_names(), aws.messages()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_200_means_that_the_watch_queue_has_the_task() {
    // Whatever fails, the provider's next try succeeds, even within the ten seconds.
    for what in ["GET watch/", "PUT watch/", "SendMessage"] {
        for aws in [Aws::default(), watched("expired"), watched("watching")] {
            aws.state().signing_keys.insert("AWSCURRENT", KEY.to_owned());
            let receiver = hinted(&aws);
            aws.fail(what, vec![Fault::Status(500); 3]);
            assert_eq!(status(&receiver, &signed(BODY, "t"), 0).await, 503, "{what}");
            assert_eq!(status(&receiver, &signed(BODY, "t"), 1).await, 200, "{what}");
            let is_planned = kept(&aws)["look"] == 3 && kept(&aws)["state"] == "watching";
            assert!(is_planned || !aws.messages().is_empty(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_reconciler_that_writes_the_object_meanwhile_loses_nothing() {
    let aws = watched("watching");
    aws.fail("PUT watch/", [Fault::Status(412)]);
    assert_eq!(status(&hinted(&aws), &unsigned(r#"{"taskId":"t"}"#), 0).await, 200);
    assert_eq!(aws.messages().len(), 1);
}
