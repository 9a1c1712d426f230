//! The reconciler Lambda: settings, clients, run.

use std::time::SystemTime;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use midihook::{
    clients, provider,
    reconciler::{self, Reconciler},
    settings::{ReconcilerSettings, environment},
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings =
        ReconcilerSettings::read(environment).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let config = clients::of_function(reconciler::PATIENCE, environment);
    let reconciler = &Reconciler::new(&config, provider::https, settings);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(reconciler.handle(event.payload, SystemTime::now()).await)
    }))
    .await
}
