//! The renderer: messages → results, and which messages go back to the queue.

use std::time::SystemTime;

use aws_lambda_events::event::sqs::SqsEvent;
use midihook::{
    aws::config,
    aws::error::in_one_line,
    bucket::keys,
    bucket::{Bucket, MAX_OBJECT_BYTES},
    messages::job::Job,
    renderer::TIMEOUTS,
};
use serde_json::{Value, json};
use suno_midi::RenderRequest;

use crate::fake::{Aws, BUCKET, Fault, sqs_event};

const TASK: &str = "5c79c0ffeebe8e";

async fn failures(aws: &Aws, event: SqsEvent) -> Vec<String> {
    let response = aws.renderer().handle(event, SystemTime::now()).await;
    response
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect()
}

fn file(name: &str) -> SqsEvent {
    serde_json::from_str(&std::fs::read_to_string(format!("events/{name}.json")).unwrap()).unwrap()
}

/// Stores a body as the receiver does. Returns its job.
fn archive(aws: &Aws, task: &str, body: &str, webhook_timestamp: u64) -> String {
    let task_id = task.parse().unwrap();
    let key = keys::body(&task_id, body.as_bytes());
    aws.put(
        &key,
        body.as_bytes(),
        &[("webhook-timestamp", &webhook_timestamp.to_string())],
    );
    serde_json::to_string(&Job::new(task_id, BUCKET, key)).unwrap()
}

/// The same job with a request.
fn asking(job: &str, at: u64, options: &str) -> String {
    let job: Job = serde_json::from_str(job).unwrap();
    let asked: RenderRequest = serde_json::from_str(&format!(r#"{{"at":{at},"options":{options}}}"#)).unwrap();
    serde_json::to_string(&job.with_request(asked)).unwrap()
}

fn document(aws: &Aws, task: &str) -> Value {
    serde_json::from_slice(&aws.body(&format!("midi/{task}.json"))).unwrap()
}

fn song(pitch: u8) -> String {
    format!(
        r#"{{"code":200,"data":{{"taskId":"t","instruments":[{{"name":"Piano","notes":[{{"pitch":{pitch},"start":0,"end":1,"velocity":1}}]}}]}}}}"#
    )
}

const FAILURE: &str = r#"{"code":500,"msg":"no","taskId":"t","data":null}"#;

#[tokio::test]
async fn every_form_of_a_job_renders_the_song() {
    let body = std::fs::read_to_string("events/callback-success.json").unwrap();
    for event in ["sqs-job", "sqs-s3-event", "sqs-eventbridge"] {
        let aws = Aws::default();
        archive(&aws, TASK, &body, 7);
        assert_eq!(failures(&aws, file(event)).await, [""; 0], "{event}");
        assert!(aws.body(&format!("midi/{TASK}.mid")).starts_with(b"MThd"), "{event}");
        let document = document(&aws, TASK);
        assert_eq!(
            (&document["state"], &document["song"]["notes"]),
            (&"rendered".into(), &6.into()),
            "{event}"
        );
        assert_eq!(
            document["source"],
            json!({
                "key": keys::body(&TASK.parse().unwrap(), body.as_bytes()), "webhookTimestamp": 7, "authenticated": false,
                "reason": "a callback's body is not signed, and the provider was not asked whether it is right",
            })
        );
    }
}

#[tokio::test]
async fn the_document_is_written_last_and_only_over_what_was_seen() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &song(60), 1);
    failures(&aws, sqs_event(&[job])).await;
    // Where nothing is, S3 is not asked what is there.
    let calls = aws.calls();
    assert_eq!(calls[0], "GET midi/t.json");
    assert_eq!(
        calls[2..],
        ["PUT midi/t.mid", "PUT midi/t.svg", "PUT midi/t.json", "SendMessage"]
    );
    let state = aws.state();
    assert!(
        state
            .calls
            .iter()
            .filter(|call| call.what.starts_with("PUT"))
            .all(|call| call.headers["if-none-match"] == "*")
    );
    assert_eq!(state.objects["midi/t.mid"].headers["content-type"], "audio/midi");
    assert_eq!(state.objects["midi/t.svg"].headers["content-type"], "image/svg+xml");
    assert_eq!(state.objects["midi/t.json"].headers["content-type"], "application/json");
}

#[tokio::test]
async fn the_same_job_again_writes_nothing() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &song(60), 1);
    for _ in 0..3 {
        assert_eq!(failures(&aws, sqs_event(&[job.clone(), job.clone()])).await, [""; 0]);
    }
    assert_eq!(aws.calls().iter().filter(|call| call.starts_with("PUT")).count(), 3);
}

#[tokio::test]
async fn the_newest_song_decides_in_whatever_order_jobs_arrive() {
    let bodies = [(song(60), 1), (song(72), 3), (song(64), 2), (FAILURE.to_owned(), 9)];
    let mut outcomes = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let aws = Aws::default();
        let jobs: Vec<String> = bodies
            .iter()
            .map(|(body, time)| archive(&aws, "t", body, *time))
            .collect();
        for index in order {
            assert_eq!(failures(&aws, sqs_event(&jobs[index..=index])).await, [""; 0]);
        }
        assert_eq!(document(&aws, "t")["source"]["webhookTimestamp"], 3, "{order:?}");
        outcomes.push((aws.body("midi/t.mid"), aws.body("midi/t.json")));
    }
    outcomes.dedup();
    assert_eq!(outcomes.len(), 1);
}

#[tokio::test]
async fn the_newest_request_decides_in_whatever_order_jobs_arrive() {
    let mut outcomes = Vec::new();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1]] {
        let aws = Aws::default();
        let plain = archive(&aws, "t", &song(60), 1);
        let jobs = [
            plain.clone(),
            asking(&plain, 5, r#"{"tempo":"80","split":true}"#),
            asking(&plain, 6, r#"{"tempo":"92","key":"Ebm","quantize":"1/16"}"#),
        ];
        for index in order {
            assert_eq!(failures(&aws, sqs_event(&jobs[index..=index])).await, [""; 0]);
        }
        let document = document(&aws, "t");
        assert_eq!(
            document["source"]["asked"],
            json!({"at": 6, "options": {"tempo": "92", "key": "Ebm", "quantize": "1/16"}}),
            "{order:?}"
        );
        assert_eq!(document["song"]["key"]["name"], "Ebm");
        assert_eq!(document["song"]["instruments"][0].get("file"), None);
        assert_eq!(document["files"]["quantized"], "midi/t/quantized.mid");
        for file in document["files"].as_object().unwrap().values() {
            let name = file.as_str().unwrap();
            assert_eq!(aws.state().objects[name].headers["x-amz-meta-asked"], "6", "{name}");
        }
        outcomes.push((
            aws.body("midi/t.mid"),
            aws.body("midi/t/quantized.mid"),
            aws.body("midi/t.json"),
        ));
    }
    outcomes.dedup();
    assert_eq!(outcomes.len(), 1);
}

#[tokio::test]
async fn a_job_without_a_request_renders_a_result_again_as_it_was_asked_for() {
    let aws = Aws::default();
    let plain = archive(&aws, "t", &song(60), 1);
    failures(&aws, sqs_event(&[asking(&plain, 5, r#"{"key":"Ebm"}"#)])).await;
    // As an older release rendered it.
    let good = aws.body("midi/t.mid");
    let mut headers = aws.state().objects["midi/t.mid"].headers.clone();
    headers.insert("x-amz-meta-content-sha256".to_owned(), "another".to_owned());
    aws.state().write("midi/t.mid", b"worse".to_vec(), headers);
    assert_eq!(failures(&aws, sqs_event(std::slice::from_ref(&plain))).await, [""; 0]);
    assert_eq!(aws.body("midi/t.mid"), good);
    assert_eq!(document(&aws, "t")["song"]["key"]["name"], "Ebm");

    // Only a request takes a request back.
    failures(&aws, sqs_event(&[asking(&plain, 6, "{}")])).await;
    assert_eq!(document(&aws, "t")["song"].get("key"), None);
}

#[tokio::test]
async fn a_document_that_is_not_understood_still_outranks_a_job_without_a_request() {
    let aws = Aws::default();
    let plain = archive(&aws, "t", &song(60), 1);
    failures(&aws, sqs_event(&[asking(&plain, 5, r#"{"key":"Ebm"}"#)])).await;
    let object = aws.state().objects["midi/t.json"].clone();
    let newer = String::from_utf8(object.body)
        .unwrap()
        .replace("\"options\"", "\"wishes\"");
    aws.state()
        .write("midi/t.json", newer.clone().into_bytes(), object.headers);
    assert_eq!(failures(&aws, sqs_event(&[plain])).await, [""; 0]);
    assert_eq!(aws.body("midi/t.json"), newer.into_bytes());
}

#[tokio::test]
async fn a_better_body_decides_even_if_nobody_asked_for_it() {
    let (older, newer) = (song(60), song(72));
    for order in [[0, 1], [1, 0]] {
        let aws = Aws::default();
        let jobs = [
            asking(&archive(&aws, "t", &older, 1), 9, r#"{"tempo":"92"}"#),
            archive(&aws, "t", &newer, 2),
        ];
        for index in order {
            failures(&aws, sqs_event(&jobs[index..=index])).await;
        }
        assert_eq!(document(&aws, "t")["source"].get("asked"), None);
        assert_eq!(document(&aws, "t")["source"]["webhookTimestamp"], 2);
    }
}

#[tokio::test(start_paused = true)]
async fn each_instrument_has_its_file_before_the_document_names_it() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &song(60), 1);
    let job = asking(&job, 5, r#"{"split":true,"quantize":"1/8"}"#);
    aws.fail(
        "PUT midi/t/01-piano.mid",
        vec![Fault::Status(503); TIMEOUTS.tries as usize],
    );
    assert_eq!(failures(&aws, sqs_event(std::slice::from_ref(&job))).await, ["m1"]);
    assert!(!aws.object_names().contains(&"midi/t.json".to_owned()));
    assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0]);
    let puts: Vec<String> = aws.calls().into_iter().filter(|call| call.starts_with("PUT")).collect();
    assert_eq!(
        puts[puts.len() - 2..],
        ["PUT midi/t/01-piano.mid".to_owned(), "PUT midi/t.json".to_owned()]
    );
    assert_eq!(
        document(&aws, "t")["song"]["instruments"][0]["file"],
        "midi/t/01-piano.mid"
    );
    assert_eq!(
        aws.state().objects["midi/t/01-piano.mid"].headers["content-type"],
        "audio/midi"
    );
}

#[tokio::test]
async fn a_bad_request_comes_back_and_changes_nothing() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &song(60), 1);
    let bad = asking(&job, 5, r#"{"tempo":"92"}"#).replace("92", "fast");
    assert_eq!(failures(&aws, sqs_event(&[bad])).await, ["m1"]);
    assert_eq!(aws.object_names().len(), 1);
}

#[tokio::test]
async fn the_sample_of_a_request_is_one() {
    let aws = Aws::default();
    let body = std::fs::read_to_string("events/callback-success.json").unwrap();
    archive(&aws, TASK, &body, 7);
    assert_eq!(failures(&aws, file("sqs-job-with-request")).await, [""; 0]);
    let document = document(&aws, TASK);
    assert_eq!(document["song"]["tempo"]["meter"], "3/4");
    assert_eq!(
        document["song"]["instruments"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|i| i["file"].is_string())
            .count(),
        2
    );
}

#[tokio::test]
async fn each_kind_of_body_ends_in_its_state_and_no_message_comes_back() {
    for (body, state) in [
        (FAILURE, "failed"),
        (r#"{"code":200,"data":{"taskId":"t","state":"complete"}}"#, "empty"),
        (r#"{"code":200,"data":{"taskId":"t","instruments":null}}"#, "unreadable"),
        (
            r#"{"code":200,"data":{"taskId":"t","instruments":[{"name":"Drums","notes":null},{"name":"Piano"}]}}"#,
            "empty",
        ),
        (r#"{"code":200,"data":{"taskId":"t","audioWavUrl":"u"}}"#, "unsupported"),
        (r#"{"code":200,"data":{"taskId":"t","instruments":7}}"#, "unreadable"),
        ("nonsense", "invalid"),
    ] {
        let aws = Aws::default();
        let job = archive(&aws, "t", body, 1);
        assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0], "{body}");
        assert_eq!(document(&aws, "t")["state"], state, "{body}");
        assert_eq!(
            aws.object_names().contains(&"midi/t.mid".to_owned()),
            state == "empty",
            "{body}"
        );
    }
}

const EMPTY: &str = r#"{"code":200,"data":{"taskId":"t","state":"complete"}}"#;
const UNREADABLE: &str = r#"{"code":200,"data":{"taskId":"t","state":"complete","tracks":[{"events":[1]}]}}"#;
const JOBS: &str = r#"{"code":200,"data":{"taskId":"t","model":"ai-music-api/generate-midi-from-audio","state":"success","resultJson":"{\"instruments\":[{\"name\":\"Piano\",\"notes\":[{\"pitch\":60,\"start\":0,\"end\":1,\"velocity\":1}]}]}"}}"#;

/// Publishes the result that an older release made of a body: an empty song.
fn published_as_empty(aws: &Aws, job: &str, webhook_timestamp: u64) {
    let job: Job = serde_json::from_str(job).unwrap();
    let time = webhook_timestamp.to_string();
    let metadata = [
        ("state", "empty"),
        ("webhook-timestamp", &time),
        ("source-key", &job.body_key),
    ];
    let document = json!({
        "version": 1, "taskId": "t", "state": "empty", "warnings": ["the provider found no instruments"],
        "source": {"key": job.body_key, "webhookTimestamp": webhook_timestamp},
        "files": {"midi": "midi/t.mid", "pianoRoll": "midi/t.svg", "document": "midi/t.json"},
        "song": {"seconds": 0, "notes": 0, "instruments": [{"name": "Piano", "file": "midi/t/01-piano.mid"}]},
    });
    aws.put("midi/t.mid", b"MThd", &metadata);
    aws.put("midi/t.svg", b"<svg/>", &metadata);
    aws.put("midi/t/01-piano.mid", b"MThd", &metadata);
    aws.put("midi/tt.mid", b"of another task", &metadata);
    aws.put("midi/t.json", document.to_string().as_bytes(), &metadata);
}

#[tokio::test]
async fn a_body_that_was_taken_for_an_empty_song_is_judged_again() {
    for (body, state) in [
        (JOBS, "rendered"),
        (EMPTY, "empty"),
        (UNREADABLE, "unreadable"),
        (r#"{"code":200,"data":{"taskId":"t","state":"failed"}}"#, "failed"),
        (r#"{"code":200,"data":{"taskId":"t","state":"running"}}"#, "pending"),
        (r#"{"code":200,"msg":"success","data":null}"#, "invalid"),
        (
            r#"{"code":200,"data":{"taskId":"t","model":"grok-imagine/text-to-image","state":"success"}}"#,
            "unsupported",
        ),
    ] {
        let aws = Aws::default();
        let job = archive(&aws, "t", body, 1);
        published_as_empty(&aws, &job, 1);
        assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0]);
        let document = document(&aws, "t");
        assert_eq!(document["state"], state, "{body}");
        // Only what the document names is left, and the other task's file.
        let mut named: Vec<&str> = document["files"]
            .as_object()
            .unwrap()
            .values()
            .map(|name| name.as_str().unwrap())
            .collect();
        named.push("midi/tt.mid");
        named.sort_unstable();
        let names = aws.object_names();
        let left: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with("midi/"))
            .collect();
        assert_eq!(left, named, "{state}");
        let last = aws.calls().into_iter().rfind(|call| !call.starts_with("SendMessage"));
        assert_eq!(last.as_deref(), Some("PUT midi/t.json"), "{state}");
    }
}

#[tokio::test]
async fn only_its_own_body_replaces_a_result_by_one_without_a_song() {
    let aws = Aws::default();
    let song = archive(&aws, "t", &song(60), 1);
    failures(&aws, sqs_event(&[song])).await;
    for (at, body) in [UNREADABLE, EMPTY, FAILURE].into_iter().enumerate() {
        let job = archive(&aws, "t", body, 9 + at as u64);
        failures(&aws, sqs_event(&[job])).await;
        assert_eq!(document(&aws, "t")["state"], "rendered");
        assert!(aws.body("midi/t.mid").starts_with(b"MThd"));
    }
    let aws = Aws::default();
    for (body, state) in [
        (FAILURE, "failed"),
        (UNREADABLE, "unreadable"),
        (FAILURE, "unreadable"),
        (EMPTY, "empty"),
        (UNREADABLE, "empty"),
    ] {
        let job = archive(&aws, "t", body, 1);
        failures(&aws, sqs_event(&[job])).await;
        assert_eq!(document(&aws, "t")["state"], state, "{body}");
    }
}

#[tokio::test]
async fn files_that_another_renderer_has_replaced_meanwhile_are_not_removed() {
    let aws = Aws::default();
    let job = archive(&aws, "t", UNREADABLE, 1);
    published_as_empty(&aws, &job, 1);
    // A newer song is being published: its document is not there yet.
    let newer = [
        ("state", "rendered"),
        ("webhook-timestamp", "2"),
        ("source-key", "raw/t/b.json"),
    ];
    aws.put("midi/t.mid", b"MThd newer", &newer);
    assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0]);
    assert_eq!(aws.body("midi/t.mid"), b"MThd newer");
    assert_eq!(
        document(&aws, "t")["state"],
        "empty",
        "the newer song's renderer replaces it"
    );
}

#[tokio::test]
async fn s3s_test_event_is_ignored() {
    let aws = Aws::default();
    assert_eq!(failures(&aws, file("sqs-test-event")).await, [""; 0]);
    assert_eq!(aws.calls(), [""; 0]);
}

#[tokio::test]
async fn only_failed_messages_come_back() {
    let aws = Aws::default();
    let good = archive(&aws, "t", &song(60), 1);
    let elsewhere = serde_json::to_string(&Job::new(
        "t".parse().unwrap(),
        "other-bucket",
        "raw/t/a.json".to_owned(),
    ))
    .unwrap();
    let poison = ["not json".to_owned(), "{}".to_owned(), elsewhere];
    let messages: Vec<String> = poison.into_iter().chain([good]).collect();
    assert_eq!(failures(&aws, sqs_event(&messages)).await, ["m1", "m2", "m3"]);
    assert_eq!(document(&aws, "t")["state"], "rendered");
}

#[tokio::test(start_paused = true)]
async fn a_moment_in_which_s3_refuses_does_not_send_the_message_back() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &song(60), 1);
    for what in ["GET raw/", "PUT midi/t.mid", "SendMessage"] {
        aws.fail(what, vec![Fault::Status(503); 5]);
    }
    assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0]);
    assert_eq!(document(&aws, "t")["state"], "rendered");
}

#[tokio::test(start_paused = true)]
async fn while_s3_fails_the_message_comes_back_and_then_succeeds() {
    for what in [
        "GET",
        "HEAD midi/t.mid",
        "PUT midi/t.mid",
        "HEAD midi/t.json",
        "PUT midi/t.json",
    ] {
        let aws = Aws::default();
        // An older result is there.
        let older = archive(&aws, "t", &song(61), 0);
        failures(&aws, sqs_event(&[older])).await;
        let job = archive(&aws, "t", &song(60), 1);
        aws.fail(what, vec![Fault::Status(503); TIMEOUTS.tries as usize]);
        assert_eq!(
            failures(&aws, sqs_event(std::slice::from_ref(&job))).await,
            ["m1"],
            "{what}"
        );
        let sent_at = |aws: &Aws| document(aws, "t")["source"]["webhookTimestamp"].clone();
        assert_eq!(sent_at(&aws), 0, "{what}: no document before all is there");
        assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0], "{what}");
        assert_eq!(sent_at(&aws), 1, "{what}");
    }
}

#[tokio::test]
async fn a_body_that_arrives_in_part_has_no_result() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &song(60), 1);
    aws.fail("GET raw/", [Fault::CutOff; 3]);
    assert_eq!(failures(&aws, sqs_event(std::slice::from_ref(&job))).await, ["m1"]);
    assert_eq!(aws.object_names().len(), 1, "no result that calls it invalid");
    // One that breaks off twice is read again.
    aws.fail("GET raw/", [Fault::CutOff; 2]);
    assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0]);
    assert_eq!(document(&aws, "t")["state"], "rendered");
}

#[tokio::test]
async fn an_error_without_a_body_names_its_status() {
    let aws = Aws::default();
    aws.fail("HEAD", [Fault::Status(403)]);
    let bucket = Bucket::new(config::s3(&aws.config(midihook::renderer::TIMEOUTS)), BUCKET.to_owned());
    let looked = bucket.result(&"t".parse().unwrap()).await;
    assert_eq!(
        in_one_line(&looked.unwrap_err()),
        format!("S3 could not look at midi/t.json in the bucket {BUCKET}: HTTP 403")
    );
}

#[tokio::test]
async fn a_write_that_races_is_decided_again() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &song(60), 1);
    aws.fail("PUT", [Fault::Status(409), Fault::Status(412)]);
    assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0]);
    assert_eq!(document(&aws, "t")["state"], "rendered");
}

#[tokio::test(start_paused = true)]
async fn each_result_is_announced_even_if_the_first_try_failed() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &song(60), 1);
    aws.fail("SendMessage", vec![Fault::Status(500); TIMEOUTS.tries as usize]);
    assert_eq!(failures(&aws, sqs_event(std::slice::from_ref(&job))).await, ["m1"]);
    assert_eq!(failures(&aws, sqs_event(std::slice::from_ref(&job))).await, [""; 0]);
    let announced: Value = serde_json::from_str(&aws.messages()[0]).unwrap();
    let mut expected = document(&aws, "t");
    expected["bucket"] = BUCKET.into();
    assert_eq!(announced, expected);
    assert_eq!(
        announced["files"],
        json!({"document": "midi/t.json", "midi": "midi/t.mid", "pianoRoll": "midi/t.svg"})
    );

    let failure = archive(&aws, "t", FAILURE, 9);
    assert_eq!(failures(&aws, sqs_event(&[failure])).await, [""; 0]);
    assert_eq!(aws.state().messages.len(), 1, "what stands was announced already");
}

#[tokio::test]
async fn an_announcement_fits_into_a_message() {
    let aws = Aws::default();
    let instruments = vec![r#"{"name":"Piano","notes":[{"pitch":60,"start":0,"end":1}]}"#; 1900].join(",");
    let job = archive(&aws, "t", &format!(r#"{{"instruments":[{instruments}]}}"#), 1);
    assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0]);
    assert!(aws.messages()[0].len() < 256 * 1024);
    assert_eq!(
        document(&aws, "t")["song"]["instruments"].as_array().unwrap().len(),
        1900
    );
}

#[tokio::test]
async fn a_deleted_body_has_a_result_that_says_so_and_replaces_nothing() {
    let aws = Aws::default();
    let gone = serde_json::to_string(&Job::new("t".parse().unwrap(), BUCKET, "raw/t/gone.json".to_owned())).unwrap();
    assert_eq!(failures(&aws, sqs_event(std::slice::from_ref(&gone))).await, [""; 0]);
    let result = document(&aws, "t");
    assert_eq!(result["state"], "invalid");
    assert!(result["warnings"][0].as_str().unwrap().contains("deleted"), "{result}");

    let failure = archive(&aws, "t", FAILURE, 1);
    assert_eq!(failures(&aws, sqs_event(&[failure, gone])).await, [""; 0]);
    assert_eq!(document(&aws, "t")["state"], "failed");
}

#[tokio::test]
async fn an_object_larger_than_any_callback_is_not_read() {
    let aws = Aws::default();
    let job = archive(&aws, "t", &" ".repeat(MAX_OBJECT_BYTES as usize + 1), 1);
    assert_eq!(failures(&aws, sqs_event(&[job])).await, [""; 0]);
    let result = document(&aws, "t");
    assert_eq!(result["state"], "invalid");
    assert!(
        result["warnings"][0].as_str().unwrap().contains("33554433 bytes"),
        "{result}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_record_of_a_message_is_tried() {
    let aws = Aws::default();
    let records: Vec<Value> = ["a", "b"]
        .iter()
        .map(|task| {
            let job: Value = serde_json::from_str(&archive(&aws, task, &song(60), 1)).unwrap();
            json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": job["key"]}}})
        })
        .collect();
    aws.fail("GET raw/a/", vec![Fault::Status(503); TIMEOUTS.tries as usize]);
    let message = json!({ "Records": records }).to_string();
    assert_eq!(failures(&aws, sqs_event(&[message])).await, ["m1"]);
    assert_eq!(document(&aws, "b")["state"], "rendered");
}
