//! The receiver Lambda: settings, clients, run.

use std::time::SystemTime;

use lambda_http::{Adapter, Error, LambdaEvent, Request, lambda_runtime, service_fn, tower::ServiceExt as _};
use midihook::{
    archive::Archive,
    clients,
    jobs::Queue,
    key_ring::KeyRing,
    receiver::{Receiver, without_url},
    settings::{ReceiverSettings, environment},
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings = ReceiverSettings::read(environment).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let config = clients::config(clients::RECEIVER).await;
    let receiver = Receiver {
        keys: KeyRing::new(aws_sdk_secretsmanager::Client::new(&config), settings.key_secret_id),
        archive: Archive::new(clients::s3(&config), settings.bucket),
        jobs: Queue::new(aws_sdk_sqs::Client::new(&config), settings.render_queue_url),
        tolerance: settings.tolerance,
    };
    let receiver = &receiver;
    let answer =
        service_fn(async |request: Request| Ok::<_, Error>(receiver.handle(&request, SystemTime::now()).await));
    // `lambda_http::run`, with one step before it.
    let service = Adapter::from(answer).map_request(|event: LambdaEvent<_>| LambdaEvent {
        payload: without_url(event.payload),
        context: event.context,
    });
    lambda_runtime::run(service).await
}
