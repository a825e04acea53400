//! What an evaluation is doing, on standard error: a live bar on a terminal, few plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mimir_runtime::evaluate::{Observer, Progress, Stage};
use mimir_runtime::report::percent;
use mimir_runtime::statistics::fraction;

use crate::options::Verbosity;
use crate::terminal::tell;

/// Plain lines are this far apart, unless a stage begins: a log of a pipeline keeps them all.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows progress where somebody wants to see it.
pub(crate) struct ProgressDisplay {
    surface: Surface,
    details: Details,
    pace: Mutex<Pace>,
}

/// Whether the steps of a run are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Details {
    Shown,
    Hidden,
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
            Verbosity::Progress | Verbosity::Details if std::io::stderr().is_terminal() => {
                Surface::Bar(bar())
            }
            Verbosity::Progress | Verbosity::Details => Surface::Lines,
        };
        let details = if verbosity == Verbosity::Details { Details::Shown } else { Details::Hidden };
        Self { surface, details, pace: Mutex::new(Pace::default()) }
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
                bar.set_length(progress.passes + progress.passes_left);
                // Drawn by the position, so that bar and words are of one moment.
                bar.set_message(sentence(progress, pace.seconds(progress)));
                bar.set_position(progress.passes);
            }
            Surface::Lines if begun || pace.line_is_due(progress) => {
                pace.last_line = progress.elapsed;
                tell(&sentence(progress, pace.seconds(progress)));
            }
            Surface::Nothing | Surface::Lines => {}
        }
    }

    fn detail(&self, text: &str) {
        match &self.surface {
            Surface::Nothing => {}
            _ if self.details == Details::Hidden => {}
            Surface::Bar(bar) => bar.suspend(|| tell(text)),
            Surface::Lines => tell(text),
        }
    }
}

/// How long the present stage and those before it have taken, on the evaluation's own clock.
#[derive(Debug, Default)]
struct Pace {
    stage: Option<Stage>,
    stage_began: Duration,
    last_line: Duration,
    /// Passes of the stages before, and of the present one so far.
    passes: [u64; 2],
}

/// What the time that is left is computed from.
#[derive(Debug, Clone, Copy)]
struct Seconds {
    /// Since the stage began.
    in_stage: f64,
    /// A pass, of this stage where it has one, else of the stages before; 0 where nothing was measured.
    per_pass: f64,
    /// A pass, over all stages so far.
    per_pass_of_all: f64,
}

impl Pace {
    /// Notes the stage; whether it is a new one.
    fn begin(&mut self, progress: &Progress) -> bool {
        let is_new = self.stage != Some(progress.stage);
        if is_new {
            self.stage = Some(progress.stage);
            self.stage_began = progress.elapsed;
            self.passes[0] += self.passes[1];
        }
        self.passes[1] = progress.passes;
        is_new
    }

    fn seconds(&self, progress: &Progress) -> Seconds {
        let in_stage = progress.elapsed.saturating_sub(self.stage_began).as_secs_f64();
        let per_pass_of_all = per_pass(progress.elapsed.as_secs_f64(), self.passes.iter().sum());
        let per_pass =
            if progress.passes > 0 { per_pass(in_stage, progress.passes) } else { per_pass_of_all };
        Seconds { in_stage, per_pass, per_pass_of_all }
    }

    fn line_is_due(&self, progress: &Progress) -> bool {
        progress.elapsed.saturating_sub(self.last_line) >= BETWEEN_LINES
    }
}

fn per_pass(seconds: f64, passes: u64) -> f64 {
    if passes > 0 { seconds / passes as f64 } else { 0.0 }
}

fn sentence(progress: &Progress, seconds: Seconds) -> String {
    let Progress {
        stage, images, clean_correct, attacked, finished, still_robust, passes, passes_left, ..
    } = *progress;
    let time_left = time_left(progress, seconds);
    match stage {
        Stage::Clean if finished == 0 => format!("clean: {attacked} images"),
        Stage::Clean => {
            let accuracy = percent(fraction(clean_correct, finished));
            format!("clean: {finished} of {attacked} images, {accuracy} correct{time_left}")
        }
        Stage::Attack(name) if passes == 0 => {
            let robust = percent(fraction(still_robust, images));
            format!("{name}: {attacked} images, {robust} robust so far, {}{time_left}", at_most(passes_left))
        }
        Stage::Attack(name) => {
            let robust = percent(fraction(still_robust, images));
            format!(
                "{name}: {finished} of {attacked} images done, {robust} robust so far, {} of the passes, {:.0} \
                 passes/s{time_left}",
                percent(passes as f64 / (passes + passes_left).max(1) as f64),
                passes as f64 / seconds.in_stage.max(f64::MIN_POSITIVE),
            )
        }
        Stage::Curve => format!("curve: {finished} of {attacked} broken images{time_left}"),
        Stage::Verify => format!("verify: {attacked} counterexamples"),
        Stage::Float64Margins => format!("margins in float64: {attacked} images"),
    }
}

/// So many passes, as a person would say it.
fn at_most(passes: u64) -> String {
    match passes {
        0..10_000 => format!("at most {passes} passes"),
        10_000..10_000_000 => format!("at most {} thousand passes", passes / 1000),
        _ => format!("at most {} million passes", passes / 1_000_000),
    }
}

/// The most that this stage and all stages may still take, where a pass takes as long as so far. Images that break
/// take less, so that the time falls faster than the clock.
fn time_left(progress: &Progress, seconds: Seconds) -> String {
    let stage = progress.passes_left as f64 * seconds.per_pass;
    let all = stage + progress.later_passes as f64 * seconds.per_pass_of_all;
    match () {
        () if all <= 0.0 => String::new(),
        () if progress.later_passes == 0 => format!(", at most {} left", duration(stage)),
        () if stage <= 0.0 => format!(", at most {} left for all attacks", duration(all)),
        () => format!(", at most {} left, {} for all attacks", duration(stage), duration(all)),
    }
}

/// Seconds, minutes or hours, rounded up: the time of a person who waits.
fn duration(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{:.0} s", seconds.ceil()),
        ..5400.0 => format!("{:.0} min", (seconds / 60.0).ceil()),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
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
            passes: 9000,
            passes_left: 27_000,
            later_passes: 1_000_000,
            elapsed: Duration::from_millis(milliseconds),
        }
    }

    const SECONDS: Seconds = Seconds { in_stage: 2.0, per_pass: 2.0 / 9000.0, per_pass_of_all: 1e-3 };

    #[test]
    fn sentences() {
        let attack = progress(Stage::Attack("apgd-ce"), 100, 0);
        let last = Progress { later_passes: 0, ..attack };
        let none = Seconds { in_stage: 0.0, per_pass: 0.0, per_pass_of_all: 0.0 };
        let clean = progress(Stage::Clean, 0, 0);
        let cases = [
            (
                sentence(&attack, SECONDS),
                "apgd-ce: 100 of 301 images done, 52.00 % robust so far, 25.00 % of the passes, 4500 passes/s, at most \
                 6 s left, 17 min for all attacks",
            ),
            (
                sentence(&last, SECONDS),
                "apgd-ce: 100 of 301 images done, 52.00 % robust so far, 25.00 % of the passes, 4500 passes/s, at most \
                 6 s left",
            ),
            (
                sentence(&Progress { finished: 0, passes: 0, ..attack }, SECONDS),
                "apgd-ce: 301 images, 52.00 % robust so far, at most 27 thousand passes, at most 6 s left, 17 min for \
                 all attacks",
            ),
            (
                sentence(&Progress { passes: 0, passes_left: 12_345_678, ..last }, none),
                "apgd-ce: 301 images, 52.00 % robust so far, at most 12 million passes",
            ),
            (
                sentence(&Progress { finished: 128, clean_correct: 64, passes_left: 0, ..clean }, SECONDS),
                "clean: 128 of 301 images, 50.00 % correct, at most 17 min left for all attacks",
            ),
            (sentence(&clean, none), "clean: 301 images"),
            (
                sentence(&Progress { later_passes: 0, ..progress(Stage::Curve, 100, 0) }, SECONDS),
                "curve: 100 of 301 broken images, at most 6 s left",
            ),
            (sentence(&progress(Stage::Verify, 301, 0), SECONDS), "verify: 301 counterexamples"),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
        assert_eq!([89.2, 91.0, 5399.0, 6000.0].map(duration), ["90 s", "2 min", "90 min", "1.7 h"]);
    }

    #[test]
    fn a_line_every_ten_seconds_and_one_for_each_stage() {
        let mut pace = Pace::default();
        let mut lines = Vec::new();
        let attack = Stage::Attack("apgd-ce");
        for (stage, time) in
            [(Stage::Clean, 0), (Stage::Clean, 4000), (attack, 5000), (attack, 14_900), (attack, 15_000)]
        {
            let progress = progress(stage, 0, time);
            if pace.begin(&progress) || pace.line_is_due(&progress) {
                pace.last_line = progress.elapsed;
                lines.push(time);
            }
        }
        assert_eq!(lines, [0, 5000, 15_000]);
    }

    #[test]
    fn a_pass_takes_as_long_as_in_this_stage_and_before_its_first_as_in_those_before() {
        let mut pace = Pace::default();
        let attack = Stage::Attack("apgd-ce");
        let at = |stage, passes, time| Progress { passes, ..progress(stage, 0, time) };
        let mut seconds = |progress: Progress| {
            pace.begin(&progress);
            let Seconds { per_pass, per_pass_of_all, .. } = pace.seconds(&progress);
            (per_pass, per_pass_of_all)
        };
        assert_eq!(seconds(at(Stage::Clean, 0, 0)), (0.0, 0.0));
        assert_eq!(seconds(at(Stage::Clean, 1000, 1000)), (1e-3, 1e-3));
        assert_eq!(seconds(at(attack, 0, 1000)), (1e-3, 1e-3));
        assert_eq!(seconds(at(attack, 1000, 4000)), (3e-3, 2e-3));
    }
}
