//! Loss and accuracy curves of run folders.
//!
//! Read from `log.jsonl`: `{"kind":"step","step":…,"loss":…,"penalty":…}` and
//! `{"kind":"epoch","epoch":…,"train_loss":…,"clean_accuracy":…,"robust_accuracy":…}`, accuracies as fractions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::PlotError;
use super::figure::{Figure, Panel, Scale, Series, Stroke};
use super::log::{EpochLine, RunLog, StepLine};

/// Most points of a curve; more are averaged.
const POINTS: usize = 400;
/// A loss that falls by so much is drawn on a logarithmic axis.
const LOG_RATIO: f64 = 30.0;

/// The curves of one or more runs as one SVG file.
///
/// # Errors
/// A log that cannot be read or has nothing to plot.
pub fn draw(runs: &[PathBuf]) -> Result<String, PlotError> {
    figure(runs)?.svg()
}

/// The curves of one or more runs: loss by step, penalty by step where there is one, accuracy by epoch
/// where it was measured. A colour stands for a run; dashes for robust accuracy. A curve of many steps is averaged down
/// to four hundred points.
fn figure(runs: &[PathBuf]) -> Result<Figure, PlotError> {
    if runs.is_empty() {
        return Err(PlotError::NoRun);
    }
    let logs = runs.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let named: Vec<(String, RunLog)> = names(runs).into_iter().zip(logs).collect();
    let panels: Vec<Panel> =
        [loss(&named), penalty(&named), accuracy(&named)].into_iter().flatten().collect();
    let (title, shown) = match &named[..] {
        [(name, _)] => (format!("Run {name}"), "a run".to_owned()),
        _ => (format!("{} runs", named.len()), format!("{} runs", named.len())),
    };
    let description = format!("Training curves of {shown}: {}.", panel_titles(&panels));
    Ok(Figure { title, description, panels })
}

fn read(path: &Path) -> Result<RunLog, PlotError> {
    let log = RunLog::read(path)?;
    if log.steps.is_empty() && log.epochs.is_empty() {
        return Err(PlotError::Empty { path: path.to_owned() });
    }
    Ok(log)
}

/// Names of folders, or whole paths where two folders share a name.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let short: Vec<String> = runs
        .iter()
        .map(|path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned())
        .collect();
    let different: BTreeSet<&String> = short.iter().collect();
    if different.len() == short.len() {
        return short;
    }
    runs.iter().map(|path| path.display().to_string()).collect()
}

fn panel_titles(panels: &[Panel]) -> String {
    let titles: Vec<String> =
        panels.iter().map(|panel| format!("{} by {}", panel.title.to_lowercase(), panel.x_label)).collect();
    titles.join(", ")
}

/// By step; a run without lines of kind `step` is drawn from its epochs, if all are.
fn loss(runs: &[(String, RunLog)]) -> Option<Panel> {
    let by_step = by_step(runs, |line| line.loss);
    let (x, series) = if by_step.is_empty() {
        ("epoch", by_epoch(runs, |line| line.train_loss, "", Stroke::Solid))
    } else {
        ("step", by_step)
    };
    panel("Loss", x, "loss", series)
}

fn penalty(runs: &[(String, RunLog)]) -> Option<Panel> {
    panel("Penalty", "step", "penalty, before its factor λ", by_step(runs, |line| line.penalty))
}

fn accuracy(runs: &[(String, RunLog)]) -> Option<Panel> {
    let percent = |fraction: Option<f64>| fraction.map(|fraction| 100.0 * fraction);
    let clean = by_epoch(runs, |line| percent(line.clean_accuracy), " clean", Stroke::Solid);
    let robust = by_epoch(runs, |line| percent(line.robust_accuracy), " robust", Stroke::Dashed);
    let mut series: Vec<Series> = clean.into_iter().chain(robust).collect();
    // Both curves of a run side by side in the legend.
    series.sort_by_key(|series| series.colour);
    Some(Panel { y_scale: Scale::Linear, ..panel("Accuracy", "epoch", "accuracy, %", series)? })
}

/// A panel of the series, if there are any.
fn panel(title: &str, x: &str, y: &str, series: Vec<Series>) -> Option<Panel> {
    if series.is_empty() {
        return None;
    }
    let values = series.iter().flat_map(|series| &series.points).map(|point| point.1);
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let y_scale = if low > 0.0 && high > LOG_RATIO * low { Scale::Log } else { Scale::Linear };
    Some(Panel { title: title.to_owned(), x_label: x.to_owned(), y_label: y.to_owned(), y_scale, series })
}

fn by_step(runs: &[(String, RunLog)], value: impl Fn(&StepLine) -> Option<f64>) -> Vec<Series> {
    let curve = |log: &RunLog| log.steps.iter().map(|(step, line)| (*step, value(line))).collect();
    curves(runs, curve, "", Stroke::Solid)
}

fn by_epoch(
    runs: &[(String, RunLog)],
    value: impl Fn(&EpochLine) -> Option<f64>,
    suffix: &str,
    stroke: Stroke,
) -> Vec<Series> {
    let curve = |log: &RunLog| log.epochs.iter().map(|(epoch, line)| (*epoch, value(line))).collect();
    curves(runs, curve, suffix, stroke)
}

/// One series for each run that has the value at all.
fn curves(
    runs: &[(String, RunLog)],
    curve: impl Fn(&RunLog) -> Vec<(u64, Option<f64>)>,
    suffix: &str,
    stroke: Stroke,
) -> Vec<Series> {
    let mut series = Vec::new();
    for (colour, (name, log)) in runs.iter().enumerate() {
        let points = curve(log);
        if points.iter().any(|point| point.1.is_some()) {
            series.push(Series {
                name: format!("{name}{suffix}"),
                points: averaged(&points),
                colour,
                stroke,
            });
        }
    }
    series
}

/// At most [`POINTS`] points: means of neighbours, of which those without a value do not count.
fn averaged(points: &[(u64, Option<f64>)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(POINTS);
    let mean = |group: &[(u64, Option<f64>)]| {
        let values: Vec<f64> = group.iter().filter_map(|point| point.1).collect();
        let x = group.iter().map(|point| point.0 as f64).sum::<f64>() / group.len() as f64;
        // Without any value not a number, which is a gap.
        (x, values.iter().sum::<f64>() / values.len() as f64)
    };
    points.chunks(group.max(1)).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(root: &Path, name: &str, lines: &str) -> PathBuf {
        let folder = root.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("log.jsonl"), lines).unwrap();
        folder
    }

    fn steps(count: u64) -> String {
        (0..count)
            .map(|step| format!("{{\"kind\":\"step\",\"step\":{step},\"loss\":{}}}\n", 1.0 + step as f64))
            .collect()
    }

    #[test]
    fn panels_are_those_that_have_data() {
        let root = tempfile::tempdir().unwrap();
        let headings = |folder: PathBuf| {
            let panels = figure(&[folder]).unwrap().panels;
            panels.into_iter().map(|panel| panel.title).collect::<Vec<_>>().join(" ")
        };
        let epoch = "{\"kind\":\"epoch\",\"epoch\":1,\"train_loss\":0.5,\"robust_accuracy\":0.25}\n";
        let penalty = "{\"kind\":\"step\",\"step\":9,\"loss\":1,\"penalty\":30}\n";
        for (lines, wanted) in [
            (steps(3), "Loss"),
            (epoch.to_owned(), "Loss Accuracy"),
            (penalty.to_owned(), "Loss Penalty"),
            (format!("{penalty}{epoch}"), "Loss Penalty Accuracy"),
        ] {
            assert_eq!(headings(run(root.path(), "run", &lines)), wanted);
        }
    }

    #[test]
    fn runs_are_named_and_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let epoch = "{\"kind\":\"epoch\",\"epoch\":1,\"clean_accuracy\":0.5,\"robust_accuracy\":0.25}\n";
        let (a, b) = (run(root.path(), "a<1>", epoch), run(root.path(), "b", epoch));
        let series = |runs: &[PathBuf]| figure(runs).unwrap().panels[0].series.clone();
        let found = series(&[a.clone(), b]);
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.colour, one.stroke)).collect();
        assert_eq!(
            found,
            [
                ("a<1> clean", 0, Stroke::Solid),
                ("a<1> robust", 0, Stroke::Dashed),
                ("b clean", 1, Stroke::Solid),
                ("b robust", 1, Stroke::Dashed),
            ]
        );
        // The same name twice: whole paths.
        let other = run(&root.path().join("x"), "a<1>", epoch);
        assert!(series(&[a, other])[2].name.ends_with("/x/a<1> clean"));
    }

    #[test]
    fn long_curves_are_averaged() {
        let points: Vec<(u64, Option<f64>)> = (0..1600).map(|step| (step, Some(step as f64))).collect();
        let averaged = averaged(&points);
        assert_eq!(averaged.len(), 400);
        assert_eq!(averaged[1], (5.5, 5.5));
        // Values that are missing do not count as 0.
        let mean = super::averaged(&[(0, None), (1, Some(2.0))]);
        assert!(mean[0].1.is_nan() && mean[1] == (1.0, 2.0));
    }

    #[test]
    fn a_loss_over_decades_is_drawn_on_a_log_axis() {
        let points = |last: f64| vec![(0.0, 1.0), (1.0, last)];
        let series = |last| {
            vec![Series { name: String::new(), points: points(last), colour: 0, stroke: Stroke::Solid }]
        };
        assert_eq!(panel("", "", "", series(0.01)).unwrap().y_scale, Scale::Log);
        assert_eq!(panel("", "", "", series(0.1)).unwrap().y_scale, Scale::Linear);
        assert_eq!(panel("", "", "", series(-1.0)).unwrap().y_scale, Scale::Linear);
    }

    #[test]
    fn errors_name_the_run() {
        let root = tempfile::tempdir().unwrap();
        let error = |folder: PathBuf| draw(&[folder]).unwrap_err().to_string();
        let missing = error(root.path().join("none"));
        assert!(missing.contains("none/log.jsonl: "), "{missing}");
        let empty = error(run(root.path(), "empty", "{\"kind\":\"start\"}\n"));
        assert!(empty.ends_with("empty: no line of kind `step` or `epoch` yet"), "{empty}");
        let broken = error(run(root.path(), "broken", "{\"kind\":\"step\"}\n"));
        assert!(broken.contains("broken/log.jsonl, line 1: missing field `step`"), "{broken}");
        assert!(matches!(draw(&[]), Err(PlotError::NoRun)));
    }
}
