//! The commands for a deployed stack. They need the AWS SDK and an async runtime: the feature `stack`.

mod advice;
mod doctor;
mod get;
mod list;
mod place;
mod progress;
mod redrive;
mod replay;
mod status;
mod submit;
mod task;
mod watch;
mod when;

use anyhow::Context as _;

pub use advice::advice;

/// A command for a stack.
#[derive(clap::Subcommand)]
pub enum Command {
    Get(get::Args),
    Status(status::Args),
    List(list::Args),
    Submit(submit::Args),
    Watch(watch::Args),
    Replay(replay::Args),
    Redrive(redrive::Args),
    Doctor(doctor::Args),
}

pub fn run(command: &Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(async {
        match command {
            Command::Get(args) => get::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::List(args) => list::run(args).await,
            Command::Submit(args) => submit::run(args).await,
            Command::Watch(args) => watch::run(args).await,
            Command::Replay(args) => replay::run(args).await,
            Command::Redrive(args) => redrive::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
        }
    })
}
