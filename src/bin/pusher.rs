//! The pusher Lambda: settings, clients, run.

use std::time::SystemTime;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use midihook::{
    clients, provider,
    pusher::{self, Pusher},
    settings::{PusherSettings, environment},
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings = PusherSettings::read(environment).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let config = clients::of_function(pusher::PATIENCE, environment);
    let pusher = &Pusher::new(&config, provider::https(), settings);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(pusher.handle(event.payload, SystemTime::now()).await)
    }))
    .await
}
