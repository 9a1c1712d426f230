//! The handlers and the intake over an AWS account in memory: what goes over the wire, and what survives faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chaos;
mod fake;
mod hint;
mod intake;
mod provider;
mod pusher;
mod queue;
mod receiver;
mod reconciler;
mod renderer;
mod ten_thousand;
mod trace;
// The provider that answers from a list is also that of the client's own tests.
#[path = "../provider/server.rs"]
#[allow(dead_code)]
mod server;
