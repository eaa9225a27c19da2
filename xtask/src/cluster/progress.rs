//! What a person sees during long work: a line that moves on a terminal, and one line for each finished step anywhere.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line. Where nobody reads any more (`... | head`), the work goes on.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One step of the work.
pub struct Step {
    title: String,
    began: Instant,
    bar: ProgressBar,
}

impl Step {
    /// Begins a step.
    pub fn begin(title: impl Into<String>) -> Self {
        let title = title.into();
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("  {spinner} {prefix} [{elapsed}] {wide_msg:.dim}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(title.clone());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { title, began: Instant::now(), bar }
    }

    /// Begins a step of minutes: where no line can move, it is announced.
    pub fn begin_long(title: impl Into<String>) -> Self {
        let step = Self::begin(title);
        if step.bar.is_hidden() {
            line(format_args!("  {} ...", step.title));
        }
        step
    }

    /// Says what is going on inside the step.
    pub fn say(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Ends a step that went well: prints it with its time.
    pub fn done(self) {
        self.bar.finish_and_clear();
        line(format_args!("  {} ({:.1} s)", self.title, self.began.elapsed().as_secs_f64()));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Runs `work` as one step.
pub fn step<T>(title: impl Into<String>, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
    let step = Step::begin(title);
    let value = work(&step)?;
    step.done();
    Ok(value)
}

/// Calls `ready` until it says yes; after `limit` it is an error that says what was waited for.
pub fn wait(what: &str, limit: Duration, every: Duration, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !ready()? {
        if began.elapsed() > limit {
            anyhow::bail!("{what}: not within {} s", limit.as_secs());
        }
        std::thread::sleep(every);
    }
    Ok(())
}
