//! `cargo xtask`: what a developer of this repository types. The local cluster and its images live in [`cluster`].

mod bench;
pub mod cluster;
mod demo;
mod generated;
mod install;
mod repository;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The local cluster, the demo, the tests, and files made from the code",
    disable_help_subcommand = true
)]
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
    /// Set up all that is needed, run a buffer service, and show it
    Demo(demo::Options),
    /// Format, lints, and every test, those on a real cluster included
    Test(test::Options),
    /// Measure the figures that the project promises, on the local cluster
    Bench(bench::Options),
    /// Write the files that are made from the code
    Generate,
}

/// Parses the command line and does what it says; an error is one line on standard error and exit code 1.
pub fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Cluster { verb } => cluster::command::run(verb),
        Task::Demo(options) => demo::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Generate => generated::write(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
