//! The renderer Lambda: settings, clients, run.

use std::time::SystemTime;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use midihook::{
    aws::config,
    env::Env,
    renderer::{self, Renderer, RendererSettings},
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let env = Env::of_process();
    let settings = RendererSettings::from_env(&env).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let renderer = &Renderer::new(&config::of_function(renderer::TIMEOUTS, &env), settings);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(renderer.handle(event.payload, SystemTime::now()).await)
    }))
    .await
}
