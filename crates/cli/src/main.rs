//! The command line for people.

mod input;
mod operate;
mod output;
mod redrive;
mod render;
mod replay;
mod send;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Turn the MIDI callbacks of KIE.ai's Suno API into MIDI files.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Render(render::Args),
    Send(send::Args),
    Replay(replay::Args),
    Redrive(redrive::Args),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a file, the network or AWS failed: try again, once what it names is mended
  2  the command line is wrong
  3  the input, or the server's answer to it, says no: trying again does not help";

/// A "no" that trying again does not change: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Render(args) => render::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Replay(args) => operate::block_on(replay::run(&args)),
        Command::Redrive(args) => operate::block_on(redrive::run(&args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("midihook: {error:#}");
            ExitCode::from(if error.is::<Refused>() { 3 } else { 1 })
        }
    }
}
