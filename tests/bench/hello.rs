//! The least that a Lambda behind an HTTP API can be. `make bench` starts it beside the receiver.

use lambda_http::{Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| {
        Ok::<_, Error>(Response::new("hello".to_owned()))
    }))
    .await
}
