//! Progress of a run on standard error: a progress bar on a terminal, a line every 30 seconds otherwise.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Plain lines are at least this far apart.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// Metrics of a step.
#[derive(Debug, Clone, Copy)]
pub struct StepMetrics {
    /// Steps that are done.
    pub step: u64,
    /// Epoch of the step, from 0.
    pub epoch: u64,
    /// Loss of the step.
    pub loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Training images per second.
    pub images_per_second: f64,
}

/// Shows the progress of one run.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    resumed_at: u64,
    began: Instant,
    output: Output,
}

#[derive(Debug)]
enum Output {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
}

impl Progress {
    /// A display for standard error as it is, of a run of `total` steps of which `done` are done.
    pub fn new(total: u64, done: u64) -> Self {
        let output = if std::io::stderr().is_terminal() {
            Output::Bar(bar(total))
        } else {
            Output::Lines { last: None }
        };
        Self { total, resumed_at: done, began: Instant::now(), output }
    }

    /// Shows the metrics of a step; without a terminal at most every 30 seconds.
    pub fn update(&mut self, metrics: &StepMetrics) {
        let now = Instant::now();
        match &mut self.output {
            Output::Bar(bar) => {
                bar.set_message(status_line(metrics, self.total, self.resumed_at, now - self.began));
                bar.set_position(metrics.step);
            }
            Output::Lines { last } => {
                if is_due(*last, now) || metrics.step == self.total {
                    *last = Some(now);
                    print(&status_line(metrics, self.total, self.resumed_at, now - self.began));
                }
            }
        }
    }

    /// A line that stays, such as the accuracy after an epoch.
    pub fn println(&self, line: &str) {
        match &self.output {
            Output::Bar(bar) => bar.suspend(|| print(line)),
            Output::Lines { .. } => print(line),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Output::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{bar:24} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar
}

fn print(line: &str) {
    // A run continues when standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= BETWEEN_LINES)
}

fn status_line(metrics: &StepMetrics, total: u64, resumed_at: u64, elapsed: Duration) -> String {
    let StepMetrics { step, epoch, loss, learning_rate, images_per_second } = *metrics;
    let left = time_left(step.saturating_sub(resumed_at), total.saturating_sub(step), elapsed);
    format!(
        "epoch {epoch}, step {step} of {total}, loss {loss:.4}, learning rate {learning_rate:.2e}, \
         {images_per_second:.0} images/s{left}"
    )
}

/// Estimated from the mean time of the steps since the start of this process; empty before the first.
fn time_left(done: u64, left: u64, elapsed: Duration) -> String {
    if done == 0 || left == 0 {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64() * left as f64 / done as f64;
    match seconds {
        ..90.0 => format!(", {seconds:.0} s left"),
        ..5400.0 => format!(", {:.0} min left", seconds / 60.0),
        _ => format!(", {:.1} h left", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: StepMetrics =
        StepMetrics { step: 300, epoch: 2, loss: 0.71234, learning_rate: 2.5e-4, images_per_second: 812.4 };

    #[test]
    fn sentences() {
        let cases =
            [(1000, 200, 10, "70 s left"), (1000, 200, 100, "12 min left"), (1000, 0, 3600, "2.3 h left")];
        for (total, resumed_at, seconds, wanted) in cases {
            let found = status_line(&REPORT, total, resumed_at, Duration::from_secs(seconds));
            let start = format!(
                "epoch 2, step 300 of {total}, loss 0.7123, learning rate 2.50e-4, 812 images/s, {wanted}"
            );
            assert_eq!(found, start);
        }
    }

    #[test]
    fn no_time_left_before_the_first_step_and_after_the_last() {
        for (total, resumed_at) in [(1000, 300), (300, 0)] {
            let found = status_line(&REPORT, total, resumed_at, Duration::from_secs(9));
            assert!(found.ends_with("812 images/s"), "{found}");
        }
    }

    #[test]
    fn lines_are_far_apart() {
        let start = Instant::now();
        assert!(is_due(None, start));
        assert!(!is_due(Some(start), start + BETWEEN_LINES - Duration::from_millis(1)));
        assert!(is_due(Some(start), start + BETWEEN_LINES));
    }
}
