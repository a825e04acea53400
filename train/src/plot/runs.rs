//! Loss and accuracy curves of run folders.
//!
//! Read from `log.jsonl`: `{"kind":"step","step":…,"loss":…,"penalty":…}` and
//! `{"kind":"epoch","epoch":…,"step":…,"train_loss":…,"held_out_loss":…,"clean_accuracy":…,"robust_accuracy":…}`,
//! accuracies as fractions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::PlotError;
use super::figure::{Figure, Panel, Scale, Series, Stroke};
use super::log::{self, EpochLine, RunLog, StepLine};

/// Most points of a curve; more are averaged.
const POINTS: usize = 400;
/// A loss that falls by so much is drawn on a logarithmic axis.
const LOG_RATIO: f64 = 30.0;

/// The curves of one or more runs as one SVG file: of folders with a log, or with folders that have one each.
///
/// # Errors
/// A log that cannot be read or has nothing to plot; a folder without one.
pub fn draw(runs: &[PathBuf]) -> Result<String, PlotError> {
    figure(&stages(runs)?)?.svg()
}

/// The folders that have logs: those named, or else those inside them.
fn stages(runs: &[PathBuf]) -> Result<Vec<PathBuf>, PlotError> {
    let mut found = Vec::new();
    for path in runs {
        let inside = if log::is_in(path) { vec![path.clone()] } else { stages_inside(path)? };
        found.extend(inside);
    }
    Ok(found)
}

fn stages_inside(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let failed = |source| PlotError::Io { path: folder.to_owned(), source };
    let mut stages = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if log::is_in(&path) {
            stages.push(path);
        }
    }
    if stages.is_empty() {
        return Err(PlotError::NoLog { path: folder.to_owned() });
    }
    // Pre-training first, whatever order the file system has.
    stages.sort_by_key(|path| (!path.ends_with("pretrain"), path.clone()));
    Ok(stages)
}

/// The curves of one or more runs: loss by step (dashed on held-out images), penalty by step where there is one, accuracy by epoch
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
    let (x, trained, held_out) = if by_step.is_empty() {
        let trained = by_epoch(runs, |line| line.train_loss, "", Stroke::Solid);
        ("epoch", trained, by_epoch(runs, |line| line.held_out_loss, " held out", Stroke::Dashed))
    } else {
        ("step", by_step, held_out_by_step(runs))
    };
    let mut series: Vec<Series> = trained.into_iter().chain(held_out).collect();
    series.sort_by_key(|series| series.colour);
    panel("Loss", x, "loss", series)
}

/// The loss on held-out images, at the step after which it was measured.
fn held_out_by_step(runs: &[(String, RunLog)]) -> Vec<Series> {
    let curve = |log: &RunLog| {
        let points = log.epochs.values().filter_map(|line| Some((line.step?, line.held_out_loss)));
        points.collect()
    };
    curves(runs, curve, " held out", Stroke::Dashed)
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
    let panel = panel("Accuracy", "epoch", "accuracy, %", series)?;
    Some(Panel { y_scale: Scale::Linear, y_ends: Some([0.0, 100.0]), ..panel })
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
    let (title, x_label, y_label) = (title.to_owned(), x.to_owned(), y.to_owned());
    Some(Panel { title, x_label, y_label, y_scale, y_ends: None, series })
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
    fn the_loss_on_held_out_images_is_drawn_where_it_was_measured() {
        let root = tempfile::tempdir().unwrap();
        let epoch = "{\"kind\":\"epoch\",\"epoch\":1,\"step\":2,\"train_loss\":0.5,\"held_out_loss\":0.7}\n";
        let by_step = run(root.path(), "by_step", &(steps(3) + epoch));
        let series = figure(&[by_step]).unwrap().panels[0].series.clone();
        assert_eq!((series.len(), series[1].name.as_str()), (2, "by_step held out"));
        assert_eq!((&series[1].points, series[1].stroke), (&vec![(2.0, 0.7)], Stroke::Dashed));
        let by_epoch = run(root.path(), "by_epoch", epoch);
        let panel = figure(&[by_epoch]).unwrap().panels.remove(0);
        assert_eq!((panel.x_label.as_str(), &panel.series[1].points), ("epoch", &vec![(1.0, 0.7)]));
    }

    #[test]
    fn fractions_are_drawn_from_none_to_all() {
        let root = tempfile::tempdir().unwrap();
        let epoch = "{\"kind\":\"epoch\",\"epoch\":1,\"clean_accuracy\":0.5}\n";
        let panel = figure(&[run(root.path(), "run", epoch)]).unwrap().panels.remove(0);
        assert_eq!((panel.title.as_str(), panel.y_ends), ("Accuracy", Some([0.0, 100.0])));
    }

    #[test]
    fn the_stages_of_a_run_are_found() {
        let root = tempfile::tempdir().unwrap();
        for stage in ["finetune-scratch", "pretrain", "finetune"] {
            run(root.path(), stage, &steps(2));
        }
        std::fs::create_dir(root.path().join("certified")).unwrap();
        let found = stages(&[root.path().to_owned()]).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["pretrain", "finetune", "finetune-scratch"]);
        assert_eq!(stages(&[root.path().join("finetune")]).unwrap(), [root.path().join("finetune")]);
        let error = stages(&[root.path().join("certified")]).unwrap_err().to_string();
        assert!(error.contains("no log.jsonl"), "{error}");
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
        assert!(missing.contains("none: "), "{missing}");
        let empty = error(run(root.path(), "empty", "{\"kind\":\"start\"}\n"));
        assert!(empty.ends_with("empty: no line of kind `step` or `epoch` yet"), "{empty}");
        let broken = error(run(root.path(), "broken", "{\"kind\":\"step\"}\n"));
        assert!(broken.contains("broken/log.jsonl, line 1: missing field `step`"), "{broken}");
        assert!(matches!(draw(&[]), Err(PlotError::NoRun)));
    }
}
