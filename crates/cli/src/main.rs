//! The command line, `midihook`.

#[cfg(feature = "stack")]
mod doctor;
#[cfg(feature = "stack")]
mod get;
mod input;
#[cfg(feature = "stack")]
mod list;
mod options;
mod output;
#[cfg(feature = "stack")]
mod progress;
#[cfg(feature = "stack")]
mod redrive;
mod render;
#[cfg(feature = "stack")]
mod replay;
mod send;
mod shell;
#[cfg(feature = "stack")]
mod stack;
#[cfg(feature = "stack")]
mod status;
#[cfg(feature = "stack")]
mod submit;
#[cfg(feature = "stack")]
mod task;
#[cfg(feature = "stack")]
mod watch;
#[cfg(feature = "stack")]
mod when;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

// Cargo.toml says why.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turn the MIDI callbacks of KIE.ai's Suno API into MIDI files
#[derive(Parser)]
#[command(name = "midihook", version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Render(render::Args),
    Send(send::Args),
    #[cfg(feature = "stack")]
    Get(get::Args),
    #[cfg(feature = "stack")]
    Status(status::Args),
    #[cfg(feature = "stack")]
    List(list::Args),
    #[cfg(feature = "stack")]
    Submit(submit::Args),
    #[cfg(feature = "stack")]
    Watch(watch::Args),
    #[cfg(feature = "stack")]
    Replay(replay::Args),
    #[cfg(feature = "stack")]
    Redrive(redrive::Args),
    #[cfg(feature = "stack")]
    Doctor(doctor::Args),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a file, the network or AWS failed, or there is no song yet: fix what the message names, or wait; then try again
  2  the command line is wrong
  3  the input is unusable, the server refused it, or there will be no song: trying again does not help";

/// An error that trying again does not change: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// A command line that asks for what cannot be: exit code 2, as clap's own errors have.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Render(args) => render::run(&args),
        Command::Send(args) => send::run(&args),
        #[cfg(feature = "stack")]
        Command::Get(args) => stack::block_on(get::run(&args)),
        #[cfg(feature = "stack")]
        Command::Status(args) => stack::block_on(status::run(&args)),
        #[cfg(feature = "stack")]
        Command::List(args) => stack::block_on(list::run(&args)),
        #[cfg(feature = "stack")]
        Command::Submit(args) => stack::block_on(submit::run(&args)),
        #[cfg(feature = "stack")]
        Command::Watch(args) => stack::block_on(watch::run(&args)),
        #[cfg(feature = "stack")]
        Command::Replay(args) => stack::block_on(replay::run(&args)),
        #[cfg(feature = "stack")]
        Command::Redrive(args) => stack::block_on(redrive::run(&args)),
        #[cfg(feature = "stack")]
        Command::Doctor(args) => stack::block_on(doctor::run(&args)),
        Command::Completions(args) => shell::completions(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("midihook: {error:#}");
            #[cfg(feature = "stack")]
            if let Some(advice) = stack::advice(&error) {
                eprintln!("{advice}");
            }
            ExitCode::from(match () {
                () if error.is::<WrongUsage>() => 2,
                () if error.is::<Refused>() => 3,
                () => 1,
            })
        }
    }
}
