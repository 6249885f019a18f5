//! homing beside Debian's nginx and HAProxy on this machine: `make bench`. How to run and to read it: ../README.md.
//!
//! One program in several roles, which it starts itself: `run` leads; `backend` answers; `load` asks; `become` takes
//! its place on a processor and turns into the proxy that it was told to be.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for a terminal")]

mod charts;
#[path = "../../src/bench/family.rs"]
mod family;
mod identity;
mod interrupt;
mod machine;
mod measure;
mod peers;
mod process;
mod raw;
mod report;
mod roles;
mod rows;
mod run;
mod settings;
mod statistics;
mod tls;
mod usage;
mod verdict;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The command line. Cargo adds `--bench` to whatever it runs here.
#[derive(Parser)]
#[command(about = "homing beside nginx and HAProxy: CPU time per request, latency, memory")]
struct Arguments {
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Measures, and prints the table.
    Run(settings::Settings),
    #[command(hide = true)]
    Backend(roles::backend::Arguments),
    #[command(hide = true)]
    Load(roles::load::Arguments),
    #[command(hide = true)]
    Become(roles::transform::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.role {
        Some(Role::Run(settings)) => return run::main(settings),
        Some(Role::Backend(arguments)) => roles::backend::main(arguments),
        Some(Role::Load(arguments)) => roles::load::main(arguments),
        Some(Role::Become(arguments)) => roles::transform::main(arguments),
        None => {
            // A whole run takes a quarter of an hour and three programs: not something to begin unasked.
            println!("peers: not run; `make bench` measures homing beside nginx and HAProxy");
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}
