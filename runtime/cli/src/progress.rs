//! What an evaluation is doing, on standard error: a live bar on a terminal, few plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mimir_runtime::evaluate::{Observer, Progress, Stage};
use mimir_runtime::report::percent;
use mimir_runtime::statistics::fraction;

use crate::options::Verbosity;

/// Plain lines are this far apart, unless a stage begins.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Shows progress where somebody wants to see it.
pub(crate) struct ProgressDisplay {
    surface: Surface,
    pace: Mutex<Pace>,
}

enum Surface {
    Nothing,
    Lines,
    Bar(ProgressBar),
}

impl ProgressDisplay {
    /// A display for standard error as it is.
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        let surface = match verbosity {
            Verbosity::Quiet => Surface::Nothing,
            Verbosity::Progress if std::io::stderr().is_terminal() => Surface::Bar(bar()),
            Verbosity::Progress => Surface::Lines,
        };
        Self { surface, pace: Mutex::new(Pace::default()) }
    }

    /// Removes the bar, so that the summary has the terminal to itself.
    pub(crate) fn finish(&self) {
        if let Surface::Bar(bar) = &self.surface {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{bar:24} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar
}

impl Observer for ProgressDisplay {
    fn progress(&self, progress: &Progress) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = pace.begin(progress);
        match &self.surface {
            Surface::Bar(bar) => {
                bar.set_length(progress.attacked as u64);
                // Drawn by the position, so that bar and words are of one moment.
                bar.set_message(sentence(progress, pace.in_stage(progress)));
                bar.set_position(progress.finished as u64);
            }
            Surface::Lines if begun || pace.line_is_due(progress) => {
                pace.last_line = progress.elapsed;
                let line = sentence(progress, pace.in_stage(progress));
                // A closed standard error is no reason to stop an evaluation.
                let _ = writeln!(std::io::stderr().lock(), "{line}");
            }
            Surface::Nothing | Surface::Lines => {}
        }
    }
}

/// When the stage began and the last line was written, on the evaluation's own clock.
#[derive(Debug, Default)]
struct Pace {
    stage: Option<Stage>,
    stage_began: Duration,
    last_line: Duration,
}

impl Pace {
    /// Notes the stage; whether it is a new one.
    fn begin(&mut self, progress: &Progress) -> bool {
        let is_new = self.stage != Some(progress.stage);
        if is_new {
            self.stage = Some(progress.stage);
            self.stage_began = progress.elapsed;
        }
        is_new
    }

    fn in_stage(&self, progress: &Progress) -> Duration {
        progress.elapsed.saturating_sub(self.stage_began)
    }

    fn line_is_due(&self, progress: &Progress) -> bool {
        progress.elapsed.saturating_sub(self.last_line) >= BETWEEN_LINES
    }
}

fn sentence(progress: &Progress, in_stage: Duration) -> String {
    let Progress { stage, images, clean_correct, attacked, finished, still_robust, steps, .. } = *progress;
    let seconds = in_stage.as_secs_f64();
    let time_left = time_left(attacked, finished, seconds);
    match stage {
        Stage::Clean if finished == 0 => format!("clean: {attacked} images"),
        Stage::Clean => {
            let accuracy = percent(fraction(clean_correct, finished));
            format!("clean: {finished} of {attacked} images, {accuracy} correct{time_left}")
        }
        Stage::Attack(name) => {
            let rate = if seconds > 0.0 { steps as f64 / seconds } else { 0.0 };
            let (clean, robust) =
                (percent(fraction(clean_correct, images)), percent(fraction(still_robust, images)));
            format!(
                "{name}: {finished} of {attacked} images, clean {clean}, {still_robust} ({robust}) still robust, \
                 {rate:.0} steps/s{time_left}"
            )
        }
        Stage::Curve => format!("curve: {finished} of {attacked} broken images, {steps} steps{time_left}"),
        Stage::Verify => format!("verify: {attacked} counterexamples"),
    }
}

/// As long again for each image as the finished ones took; nothing before the first.
fn time_left(attacked: usize, finished: usize, seconds: f64) -> String {
    if finished == 0 || finished >= attacked {
        return String::new();
    }
    let left = seconds * (attacked - finished) as f64 / finished as f64;
    if left < 90.0 { format!(", {left:.0} s left") } else { format!(", {:.0} min left", left / 60.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(stage: Stage, finished: usize, milliseconds: u64) -> Progress {
        Progress {
            stage,
            images: 500,
            clean_correct: 301,
            attacked: 301,
            finished,
            still_robust: 260,
            steps: 9000,
            elapsed: Duration::from_millis(milliseconds),
        }
    }

    #[test]
    fn sentences() {
        let attack = progress(Stage::Attack("apgd-ce"), 100, 0);
        let cases = [
            (
                sentence(&attack, Duration::from_secs(2)),
                "apgd-ce: 100 of 301 images, clean 60.20 %, 260 (52.00 %) still robust, 4500 steps/s, 4 s left",
            ),
            (
                sentence(&Progress { finished: 1, ..attack }, Duration::from_secs(2)),
                "apgd-ce: 1 of 301 images, clean 60.20 %, 260 (52.00 %) still robust, 4500 steps/s, 10 min left",
            ),
            (
                sentence(&Progress { finished: 0, steps: 0, ..attack }, Duration::ZERO),
                "apgd-ce: 0 of 301 images, clean 60.20 %, 260 (52.00 %) still robust, 0 steps/s",
            ),
            (
                sentence(
                    &Progress { attacked: 500, clean_correct: 64, ..progress(Stage::Clean, 128, 0) },
                    Duration::ZERO,
                ),
                "clean: 128 of 500 images, 50.00 % correct, 0 s left",
            ),
            (sentence(&progress(Stage::Clean, 0, 0), Duration::ZERO), "clean: 301 images"),
            (
                sentence(&progress(Stage::Curve, 100, 0), Duration::from_secs(2)),
                "curve: 100 of 301 broken images, 9000 steps, 4 s left",
            ),
            (
                sentence(&progress(Stage::Verify, 301, 0), Duration::from_secs(1)),
                "verify: 301 counterexamples",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_line_a_second_and_one_for_each_stage() {
        let mut pace = Pace::default();
        let mut lines = Vec::new();
        let attack = Stage::Attack("apgd-ce");
        for (stage, time) in
            [(Stage::Clean, 0), (Stage::Clean, 400), (attack, 500), (attack, 900), (attack, 1500)]
        {
            let progress = progress(stage, 0, time);
            if pace.begin(&progress) || pace.line_is_due(&progress) {
                pace.last_line = progress.elapsed;
                lines.push(time);
            }
        }
        assert_eq!(lines, [0, 500, 1500]);
        assert_eq!(pace.in_stage(&progress(attack, 0, 1500)), Duration::from_secs(1));
    }
}
