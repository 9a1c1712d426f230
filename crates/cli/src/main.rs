//! The command line, `midihook`.

mod input;
mod options;
mod output;
mod render;
mod send;
mod shell;
#[cfg(feature = "stack")]
mod stack;

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
    #[command(flatten)]
    Stack(stack::Command),
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
        Command::Stack(command) => stack::run(&command),
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
