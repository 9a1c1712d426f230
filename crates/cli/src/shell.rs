//! `midihook completions` and `midihook man`: what a shell and `man` know about the command line.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::output::print;

/// Print a script with which a shell completes the command line
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  midihook completions bash > ~/.local/share/bash-completion/completions/midihook
  midihook completions zsh > ~/.zfunc/_midihook       (with ~/.zfunc in fpath, before compinit)
  midihook completions fish > ~/.config/fish/completions/midihook.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write manual pages: one for midihook, and one for each command
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  midihook man ~/.local/share/man/man1 && man midihook-render")]
pub struct ManArgs {
    /// The directory to write to; it is made if there is none
    directory: PathBuf,
}

pub fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print(&script)
}

pub fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    // Building gives each command the name of its page, midihook-render.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    fs::create_dir_all(&args.directory).with_context(|| format!("cannot make {}", args.directory.display()))?;
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        let page = Man::new(command.clone());
        let mut text = Vec::new();
        page.render(&mut text).context("cannot write a manual page")?;
        // The examples and the exit codes are tables: `man` must not fill their lines.
        let text = String::from_utf8_lossy(&text).replacen(".SH EXTRA\n", ".SH NOTES\n.nf\n", 1);
        let path = args.directory.join(page.get_filename());
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
