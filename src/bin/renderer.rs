//! The renderer Lambda: settings, clients, run.

use std::time::SystemTime;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use midihook::{
    clients,
    renderer::{self, Renderer},
    settings::{RendererSettings, environment},
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings = RendererSettings::read(environment).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let renderer = &Renderer::new(&clients::of_function(renderer::PATIENCE, environment), settings);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(renderer.handle(event.payload, SystemTime::now()).await)
    }))
    .await
}
