//! The intake: verified bodies → stored and queued, whether the provider called back or we asked it.

use std::time::{Duration, SystemTime};

use midihook::{
    aws::config,
    aws::error::in_one_line,
    aws::queue::Queue,
    bucket::keys,
    bucket::{
        Bucket,
        bodies::{BodySource, NewBody},
    },
    intake::{Accepted, Intake},
};
use serde_json::{Value, json};

use crate::fake::{Aws, BUCKET, Fault, QUEUE_URL};

fn intake(aws: &Aws) -> Intake {
    let config = aws.config(midihook::receiver::TIMEOUTS);
    Intake {
        bucket: Bucket::new(config::s3(&config), BUCKET.to_owned()),
        render_queue: Queue::new(aws_sdk_sqs::Client::new(&config), QUEUE_URL.to_owned()),
    }
}

fn new_body(source: BodySource) -> NewBody {
    NewBody {
        task_id: "t".parse().unwrap(),
        bytes: br#"{"taskId":"t"}"#.as_slice().into(),
        source,
        webhook_timestamp: 7,
        received_at: SystemTime::UNIX_EPOCH + Duration::from_secs(8),
    }
}

#[tokio::test]
async fn a_body_is_stored_with_its_origin_and_queued() {
    for (origin, source) in [(BodySource::Callback, "callback"), (BodySource::Poll, "poll")] {
        let (aws, body) = (Aws::default(), new_body(origin));
        let object = keys::body(&body.task_id, &body.bytes);
        let taken = intake(&aws).accept(&body).await.unwrap();
        assert_eq!(
            taken,
            Accepted {
                body_key: object.clone(),
                duplicate: false
            }
        );
        assert_eq!(aws.body(&object), body.bytes);
        let headers = aws.state().objects[&object].headers.clone();
        assert_eq!(headers["x-amz-meta-source"], source);
        assert_eq!(headers["x-amz-meta-webhook-timestamp"], "7");
        assert_eq!(headers["x-amz-meta-received-at"], "1970-01-01T00:00:08Z");
        let job: Value = serde_json::from_str(&aws.messages()[0]).unwrap();
        assert_eq!(
            job,
            json!({"version": 1, "taskId": "t", "bucket": BUCKET, "key": object})
        );
    }
}

#[tokio::test]
async fn a_body_that_is_there_keeps_its_origin_and_gets_another_job() {
    let aws = Aws::default();
    for (origin, duplicate) in [(BodySource::Callback, false), (BodySource::Poll, true)] {
        assert_eq!(
            intake(&aws).accept(&new_body(origin)).await.unwrap().duplicate,
            duplicate
        );
    }
    let [object] = aws.object_names().try_into().unwrap();
    assert_eq!(aws.state().objects[&object].headers["x-amz-meta-source"], "callback");
    assert_eq!(aws.messages().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_says_what_failed_and_whether_trying_again_helps() {
    for (what, status, transient, words) in [
        ("PUT", 403, false, "S3 could not store raw/t/"),
        ("PUT", 503, true, "S3 could not store raw/t/"),
        (
            "SendMessage",
            403,
            false,
            "SQS could not queue a message of task t: Injected",
        ),
        (
            "SendMessage",
            500,
            true,
            "SQS could not queue a message of task t: Injected",
        ),
    ] {
        let aws = Aws::default();
        aws.fail(what, vec![Fault::Status(status); 3]);
        let error = intake(&aws).accept(&new_body(BodySource::Poll)).await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{what} {status}");
        assert!(in_one_line(&error).starts_with(words), "{}", in_one_line(&error));
        assert_eq!(aws.messages(), [""; 0], "{what} {status}");
    }
}

#[tokio::test]
async fn an_error_says_which_bucket_is_in_another_region_and_what_to_do() {
    let aws = Aws::default();
    aws.fail("PUT", [Fault::Status(301)]);
    let error = intake(&aws).accept(&new_body(BodySource::Callback)).await.unwrap_err();
    let advice =
        format!("in the bucket {BUCKET}, which is not in this region (check the stack's parameter BucketName): ");
    assert!(in_one_line(&error).contains(&advice), "{}", in_one_line(&error));
    assert!(!error.is_transient());
}
