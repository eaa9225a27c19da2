//! `cargo xtask`: what a developer of this repository types. The local cluster and its images live in [`cluster`].

pub mod cluster;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The local cluster and its images", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// A real Kubernetes on this machine: up, down, status, load, logs, build
    Cluster {
        #[command(subcommand)]
        verb: cluster::command::Verb,
    },
}

/// Parses the command line and does what it says; an error is one line on standard error and exit code 1.
pub fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Cluster { verb } => cluster::command::run(verb),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
