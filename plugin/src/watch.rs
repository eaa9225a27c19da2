//! Looking again and again: `--watch`, and waiting for a service to become healthy.

use std::future::Future;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior};

use crate::exit::{Failure, Outcome};
use crate::model::status::ServiceStatus;
use crate::terminal::{print, say};

/// Between two looks while waiting: a NATS election takes 4 to 9 s, and nobody wants to wait a second longer than that.
const WAIT_INTERVAL: Duration = Duration::from_millis(700);

/// Progress on standard error: one line that changes on a terminal, a line for each change elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: String,
    began: Instant,
}

impl Progress {
    /// Begins to tell.
    pub fn begin() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, last: String::new(), began: Instant::now() }
    }

    /// Says how far it is, where that changed.
    pub fn tell(&mut self, line: &str) {
        if line == self.last {
            return;
        }
        line.clone_into(&mut self.last);
        match &self.bar {
            Some(bar) => bar.set_message(line.to_owned()),
            None => say(&format!("{:>4}s {line}", self.began.elapsed().as_secs())),
        }
    }

    /// What was told last.
    pub fn last(&self) -> &str {
        &self.last
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Looks until the service is healthy; what was seen last, and whether it was in time. A look that fails once may succeed the next time; one that
/// never does is told at the end.
pub async fn until_healthy<F, R>(timeout: Duration, mut look: F) -> Result<(Option<ServiceStatus>, bool), Failure>
where
    F: FnMut() -> R,
    R: Future<Output = Result<ServiceStatus, Failure>>,
{
    let mut progress = Progress::begin();
    let deadline = Instant::now() + timeout;
    let mut seen = None;
    let mut failed;
    loop {
        match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(status)) => {
                progress.tell(&status.progress());
                if status.is_healthy() {
                    return Ok((Some(status), true));
                }
                failed = None;
                seen = Some(status);
            }
            // What cannot be repaired by waiting is told at once.
            Ok(Err(failure)) if seen.is_none() => return Err(failure),
            Ok(Err(failure)) => {
                progress.tell(&failure.message);
                failed = Some(failure);
            }
            Err(_) => return Ok((seen, false)),
        }
        if Instant::now() + WAIT_INTERVAL >= deadline {
            return match failed {
                Some(failure) => Err(Failure::timed_out(failure.message)),
                None => Ok((seen, false)),
            };
        }
        tokio::time::sleep(WAIT_INTERVAL).await;
    }
}

/// Shows a picture again and again until it is interrupted; on a terminal in the same place, elsewhere one after the other.
pub async fn repeat<F, R>(interval: Duration, mut picture: F) -> Outcome
where
    F: FnMut() -> R,
    R: Future<Output = Result<String, Failure>>,
{
    let terminal = std::io::stdout().is_terminal();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = false;
    loop {
        ticks.tick().await;
        match picture().await {
            Ok(text) => {
                // Home, each line cleared to its end, then everything below: no flicker, and no rest of a longer picture.
                let text = if terminal { format!("\x1b[H{}\x1b[J", fitting(&text, height()).replace('\n', "\x1b[K\n")) } else { text };
                let text = if terminal && !shown { format!("\x1b[2J{text}") } else { text };
                print(&text)?;
                shown = true;
            }
            Err(failure) if !shown || failure.message.is_empty() => return Err(failure),
            Err(failure) => say(&format!("error: {}", crate::terminal::clean(&failure.message))),
        }
    }
}

fn height() -> usize {
    terminal_size::terminal_size().map_or(usize::MAX, |(_, terminal_size::Height(rows))| usize::from(rows))
}

/// As much of a picture as fits, with a word on what does not: the verdict, which comes first, stays in sight.
fn fitting(text: &str, rows: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    if lines.len() < rows {
        return text.to_owned();
    }
    let kept = rows.saturating_sub(2);
    let more = lines.len() - kept;
    format!("{}\n... {more} more lines: make the window higher, or leave --watch out\n", lines[..kept].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn the_verdict_stays_in_sight() {
        let picture = "verdict\na\nb\nc\nd\n";
        assert_eq!(fitting(picture, 10), picture);
        let cut = fitting(picture, 4);
        assert!(cut.starts_with("verdict\na\n... 3 more") && cut.lines().count() == 3, "{cut}");
    }
}
