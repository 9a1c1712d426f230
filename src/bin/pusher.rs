//! The pusher Lambda: settings, clients, run.

use std::time::SystemTime;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use midihook::{
    aws::config,
    env::Env,
    provider,
    pusher::{self, Pusher, PusherSettings},
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let env = Env::of_process();
    let settings = PusherSettings::from_env(&env).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let config = config::of_function(pusher::TIMEOUTS, &env);
    let pusher = &Pusher::new(&config, provider::https(), settings);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(pusher.handle(event.payload, SystemTime::now()).await)
    }))
    .await
}
