//! A Lambda that puts the body of each request and sends a message, with the receiver's clients, and does nothing else.
//! `make bench` compares the receiver with it.

use std::env::var;

use aws_sdk_s3::primitives::ByteStream;
use lambda_http::{Body, Error, Request, Response, run, service_fn};
use midihook::{aws::config, env::Env, receiver::TIMEOUTS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = config::of_function(TIMEOUTS, &Env::of_process());
    let (s3, sqs) = (&config::s3(&config), &aws_sdk_sqs::Client::new(&config));
    let (bucket, queue_url) = (&var("BUCKET")?, &var("RENDER_QUEUE_URL")?);
    run(service_fn(async |request: Request| {
        let body = match request.into_body() {
            Body::Text(text) => ByteStream::from(text.into_bytes()),
            _ => ByteStream::default(),
        };
        s3.put_object().bucket(bucket).key("key").body(body).send().await?;
        sqs.send_message()
            .queue_url(queue_url)
            .message_body("message")
            .send()
            .await?;
        Ok::<_, Error>(Response::new("done".to_owned()))
    }))
    .await
}
