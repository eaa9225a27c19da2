//! What a person sees during long work: a line that moves on a terminal, and one line for each finished step anywhere.

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line. Where nobody reads any more (`... | head`), the work goes on.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// How often a step says how far it is where no line can move.
const TELL: Duration = Duration::from_secs(30);

/// One step of the work.
pub struct Step {
    title: String,
    began: Instant,
    told: Cell<Instant>,
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
        let began = Instant::now();
        Self { title, began, told: Cell::new(began), bar }
    }

    /// Begins a step of minutes: where no line can move, it is announced.
    pub fn begin_long(title: impl Into<String>) -> Self {
        let step = Self::begin(title);
        if step.bar.is_hidden() {
            line(format_args!("  {} ...", step.title));
        }
        step
    }

    /// Says what is going on inside the step: at once where a line can move, and in a line now and then where none can.
    pub fn say(&self, message: impl Into<String>) {
        let message = message.into();
        if self.bar.is_hidden() && self.told.get().elapsed() >= TELL {
            line(format_args!("  {}: {message} ({:.0} s)", self.title, self.began.elapsed().as_secs_f64()));
            self.told.set(Instant::now());
        }
        self.bar.set_message(message);
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
