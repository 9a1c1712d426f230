//! The receiver Lambda: settings, clients, run.

use std::time::SystemTime;

use lambda_http::{Adapter, Error, LambdaEvent, Request, lambda_runtime, service_fn, tower::ServiceExt as _};
use midihook::{
    aws::config,
    env::Env,
    receiver::{self, Receiver, ReceiverSettings, without_url},
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let env = Env::of_process();
    let settings = ReceiverSettings::from_env(&env).inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    let receiver = &Receiver::new(&config::of_function(receiver::TIMEOUTS, &env), settings);
    receiver.prepare(SystemTime::now()).await;
    let answer = service_fn(async |request: Request| Ok::<_, Error>(receiver.handle(request, SystemTime::now()).await));
    // This is what `lambda_http::run` does, plus `without_url`.
    let service = Adapter::from(answer).map_request(|event: LambdaEvent<_>| LambdaEvent {
        payload: without_url(event.payload),
        context: event.context,
    });
    lambda_runtime::run(service).await
}
