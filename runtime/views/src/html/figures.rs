//! The figures of the page.

use mimir_bundle::Norm;
use mimir_bundle::statistics::{Interval, clopper_pearson, fraction};
use mimir_runtime::evaluate::Verdict;
use mimir_runtime::report::{CurvePoint, Report, percent};

use super::canvas::{Anchor, Canvas, Drawn, Ink, Point, WIDTH, figure};
use super::text::clipped;

/// Attacks that a figure shows at most.
const MOST_ATTACKS: usize = 24;

/// Series that the figure of iterates shows at most.
pub(super) const MOST_SERIES: usize = 6;

/// Space on the left of a plot, for its labels, on the right, above and below.
pub(super) const LEFT: f64 = 52.0;
const RIGHT: f64 = 26.0;
pub(super) const TOP: f64 = 12.0;
pub(super) const BELOW: f64 = 46.0;
/// Height of a plot.
pub(super) const PLOT: f64 = 220.0;

/// The accuracy after each attack, a bar each, with the interval of each.
pub(super) fn accuracies(report: &Report) -> Result<String, String> {
    const ROW: f64 = 50.0;
    let images = report.images;
    let mut rows: Vec<(String, usize)> = vec![("as they are".to_owned(), report.counts.clean_correct)];
    let attacks = report.attacks.iter().take(MOST_ATTACKS);
    rows.extend(
        attacks
            .map(|attack| (format!("after {}", clipped(&attack.name, 30)), attack.still_robust.min(images))),
    );
    if rows.last().is_some_and(|(_, last)| *last != report.counts.not_broken()) {
        rows.push(("attacked accuracy".to_owned(), report.counts.not_broken()));
    }
    let described: Vec<String> =
        rows.iter().map(|(name, count)| format!("{name} {}", percent(fraction(*count, images)))).collect();
    let label = format!("Bars: accuracy {}.", described.join(", "));
    let x = |share: f64| 8.0 + (WIDTH - 16.0) * share;
    figure(ROW * rows.len() as f64 + 30.0, &label, |canvas| {
        let bottom = ROW * rows.len() as f64;
        for quarter in 0..=4 {
            let share = f64::from(quarter) / 4.0;
            canvas.line(&[(x(share), 0.0), (x(share), bottom + 4.0)], Ink::Grid, 1.0)?;
            let anchor = match quarter {
                0 => Anchor::Start,
                4 => Anchor::End,
                _ => Anchor::Middle,
            };
            canvas.text((x(share), bottom + 18.0), anchor, Ink::Muted, &format!("{:.0} %", 100.0 * share))?;
        }
        for (row, (name, count)) in rows.iter().enumerate() {
            let top = ROW * row as f64;
            let share = fraction(*count, images);
            let Interval { lower, upper, .. } = clopper_pearson(*count, images);
            canvas.text((8.0, top + 12.0), Anchor::Start, Ink::Text, name)?;
            canvas.text((WIDTH - 8.0, top + 12.0), Anchor::End, Ink::Text, &percent(share))?;
            canvas.bar((x(0.0), top + 21.0), (x(share), top + 33.0), Ink::Accent)?;
            whisker(canvas, (x(lower), top + 39.0), (x(upper), top + 39.0))?;
        }
        Ok(())
    })
}

/// An interval as a line between two ends, level or upright.
fn whisker(canvas: &Canvas<'_>, from: Point, to: Point) -> Drawn {
    let (dx, dy) = if (from.1 - to.1).abs() < f64::EPSILON { (0.0, 4.0) } else { (4.0, 0.0) };
    canvas.line(&[from, to], Ink::Limit, 2.0)?;
    [from, to]
        .into_iter()
        .try_for_each(|(x, y)| canvas.line(&[(x - dx, y - dy), (x + dx, y + dy)], Ink::Limit, 2.0))
}

/// A plot with shares from 0 to 100 % upwards, or with what has been brought to them.
pub(super) struct Plot {
    /// Greatest value of x.
    pub(super) most: f64,
}

impl Plot {
    pub(super) fn x(&self, value: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (value / self.most).clamp(0.0, 1.0)
    }

    pub(super) fn y(&self, share: f64, top: f64) -> f64 {
        top + PLOT * (1.0 - share.clamp(0.0, 1.0))
    }

    /// Grid, labels of both axes, and the name of the one below.
    fn frame(&self, canvas: &Canvas<'_>, top: f64, ticks: &[(f64, String)], name: &str) -> Drawn {
        self.labelled_frame(canvas, top, ticks, name, |share| format!("{:.0} %", 100.0 * share))
    }

    /// The same, with what stands for a share of the height.
    pub(super) fn labelled_frame(
        &self,
        canvas: &Canvas<'_>,
        top: f64,
        ticks: &[(f64, String)],
        name: &str,
        shown: impl Fn(f64) -> String,
    ) -> Drawn {
        for quarter in 0..=4 {
            let share = f64::from(quarter) / 4.0;
            let y = self.y(share, top);
            canvas.line(&[(LEFT, y), (WIDTH - RIGHT, y)], Ink::Grid, 1.0)?;
            canvas.text((LEFT - 6.0, y), Anchor::End, Ink::Muted, &shown(share))?;
        }
        for (value, text) in ticks {
            let x = self.x(*value);
            canvas.line(&[(x, self.y(0.0, top)), (x, self.y(0.0, top) + 4.0)], Ink::Muted, 1.0)?;
            canvas.text((x, self.y(0.0, top) + 14.0), Anchor::Middle, Ink::Muted, text)?;
        }
        canvas.text(
            (f64::midpoint(LEFT, WIDTH - RIGHT), self.y(0.0, top) + 34.0),
            Anchor::Middle,
            Ink::Muted,
            &name,
        )
    }
}

/// The attacked accuracy over the radius, where the report has it.
pub(super) fn curve(report: &Report) -> Option<Result<String, String>> {
    let points: &Vec<CurvePoint> = report.curve.as_ref().filter(|points| points.len() > 1)?;
    let most = points.iter().map(|point| point.epsilon).fold(0.0, f64::max);
    (most > 0.0 && most.is_finite()).then(|| draw_curve(report, points, most))
}

/// A radius as people write it: `2/255`, `0.5`.
pub(super) fn shown_radius(report: &Report, value: f64) -> String {
    match report.threat_model.norm {
        _ if value == 0.0 => "0".to_owned(),
        Norm::Linf => format!("{}/255", short(value * 255.0)),
        Norm::L2 | Norm::L1 => short(value),
    }
}

fn draw_curve(report: &Report, points: &[CurvePoint], most: f64) -> Result<String, String> {
    let plot = Plot { most };
    let epsilon = report.threat_model.epsilon;
    let in_levels = report.threat_model.norm == Norm::Linf;
    let radius = |value: f64| shown_radius(report, value);
    let steps = if most > 1.5 * epsilon { 4 } else { 2 };
    let ticks: Vec<(f64, String)> = (0..=steps)
        .map(|step| most * f64::from(step) / f64::from(steps))
        .map(|value| (value, radius(value)))
        .collect();
    let at = |point: &CurvePoint| (plot.x(point.epsilon), plot.y(point.attacked_accuracy, TOP));
    let line: Vec<Point> = points.iter().map(at).collect();
    let shown = points
        .iter()
        .step_by(4)
        .map(|point| format!("{} at {}", percent(point.attacked_accuracy), radius(point.epsilon)));
    let label =
        format!("Curve: attacked accuracy over the radius: {}.", shown.collect::<Vec<_>>().join(", "));
    let name = match in_levels {
        true => "radius (pixels in [0, 1])".to_owned(),
        false => format!("radius ({}, pixels in [0, 1])", report.threat_model.norm),
    };
    figure(TOP + PLOT + BELOW, &label, |canvas| {
        plot.frame(canvas, TOP, &ticks, &name)?;
        let x = plot.x(epsilon);
        canvas.dashed(&[(x, plot.y(0.0, TOP)), (x, plot.y(1.0, TOP))], Ink::Muted, 1.0)?;
        canvas.line(&line, Ink::Accent, 2.0)?;
        line.iter().try_for_each(|point| canvas.mark(*point, Ink::Accent, 0))?;
        let Interval { lower, upper, .. } = report.attacked_accuracy_interval;
        whisker(canvas, (x, plot.y(lower, TOP)), (x, plot.y(upper, TOP)))?;
        let (anchor, beside) =
            if epsilon > 0.8 * most { (Anchor::End, x - 8.0) } else { (Anchor::Start, x + 8.0) };
        canvas.text((beside, plot.y(1.0, TOP) + 10.0), anchor, Ink::Text, &format!("ε = {}", radius(epsilon)))
    })
}

/// The iterates at which an attack found its counterexamples, sorted.
pub(super) struct Found {
    pub(super) attack: String,
    pub(super) iterates: Vec<usize>,
}

/// What each attack found and when, of those that found something.
pub(super) fn found(report: &Report) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for attack in &report.attacks {
        let steps = report.outcomes.iter().filter_map(|outcome| match &outcome.verdict {
            Verdict::Broken { attack: by, step, .. } if *by == attack.name => Some(*step),
            _ => None,
        });
        let mut iterates: Vec<usize> = steps.collect();
        iterates.sort_unstable();
        let is_new = all.iter().all(|found| found.attack != attack.name);
        if !iterates.is_empty() && is_new && all.len() < MOST_SERIES {
            all.push(Found { attack: attack.name.clone(), iterates });
        }
    }
    all
}

/// Share of the counterexamples of each attack by the iterate at which they were found: where a curve still rises at its end,
/// more iterates would find more.
pub(super) fn iterates(report: &Report) -> Option<Result<String, String>> {
    let found = found(report);
    let most = found.iter().filter_map(|found| found.iterates.last()).copied().max()?;
    Some(draw_iterates(&found, most.max(1)))
}

fn draw_iterates(series: &[Found], most: usize) -> Result<String, String> {
    const LEGEND: f64 = 20.0;
    // Searches differ in length by orders of magnitude.
    let place = |step: usize| (step as f64 + 1.0).log10();
    let plot = Plot { most: place(most) };
    let top = TOP + LEGEND * series.len() as f64;
    let counts =
        series.iter().map(|found| format!("{} {}", clipped(&found.attack, 30), found.iterates.len()));
    let label = format!(
        "Curves: share of the counterexamples found by each iterate, up to {most}. Counterexamples: {}.",
        counts.collect::<Vec<_>>().join(", ")
    );
    let ticks: Vec<(f64, String)> =
        round_steps(most, &plot, place).into_iter().map(|step| (place(step), step.to_string())).collect();
    figure(top + PLOT + BELOW, &label, |canvas| {
        plot.frame(canvas, top, &ticks, "iterate of the search (logarithmic)")?;
        for (index, Found { attack, iterates }) in series.iter().enumerate() {
            let (ink, row) = (Ink::Series(index), TOP + LEGEND * index as f64);
            canvas.line(&[(LEFT, row), (LEFT + 22.0, row)], ink, 2.0)?;
            canvas.mark((LEFT + 11.0, row), ink, index)?;
            let legend = format!("{}: {} found", clipped(attack, 30), iterates.len());
            canvas.text((LEFT + 30.0, row), Anchor::Start, Ink::Text, &legend)?;
            let at = |(step, share): (usize, f64)| (plot.x(place(step)), plot.y(share, top));
            let corners: Vec<Point> = stairs(iterates).into_iter().map(at).collect();
            let mut line: Vec<Point> = Vec::new();
            for corner in &corners {
                // Level up to the next iterate, then up.
                line.extend(line.last().map(|before| (corner.0, before.1)));
                line.push(*corner);
            }
            line.extend(corners.last().map(|last| (plot.x(plot.most), last.1)));
            canvas.line(&line, ink, 2.0)?;
            let every = (corners.len() / 8).max(1);
            corners.iter().rev().step_by(every).try_for_each(|point| canvas.mark(*point, ink, index))?;
        }
        Ok(())
    })
}

/// Round iterates up to the last, as many as have room for their labels.
pub(super) fn round_steps(most: usize, plot: &Plot, place: impl Fn(usize) -> f64) -> Vec<usize> {
    const ROOM: f64 = 34.0;
    let round = (0..9).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)));
    let mut steps: Vec<usize> = vec![0];
    for step in round.take_while(|step| *step <= most) {
        let free = steps.last().is_none_or(|last| plot.x(place(step)) - plot.x(place(*last)) >= ROOM);
        if free {
            steps.push(step);
        }
    }
    steps
}

/// From sorted iterates to the share found by each, at most some hundred points: those where the share changes most.
fn stairs(steps: &[usize]) -> Vec<(usize, f64)> {
    const MOST: usize = 120;
    let every = steps.len().div_ceil(MOST);
    let mut stairs: Vec<(usize, f64)> =
        vec![(0, fraction(steps.partition_point(|step| *step == 0), steps.len()))];
    for (index, step) in
        steps.iter().enumerate().skip(every - 1).step_by(every).chain(steps.iter().enumerate().next_back())
    {
        let share = fraction(index + 1, steps.len());
        match stairs.last_mut() {
            Some((last, so_far)) if last == step => *so_far = so_far.max(share),
            _ => stairs.push((*step, share)),
        }
    }
    stairs
}

/// A number with at most three digits behind the point.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn shares_over_iterates_rise_to_one() {
        let steps: Vec<usize> = (0..1000).map(|index| index / 3).collect();
        let stairs = stairs(&steps);
        assert!(stairs.len() <= 122 && stairs.is_sorted(), "{stairs:?}");
        assert_eq!(stairs.last(), Some(&(333, 1.0)));
        assert_eq!(super::stairs(&[5]), [(0, 0.0), (5, 1.0)]);
        assert_eq!(super::stairs(&[0, 0]), [(0, 1.0)]);
    }

    #[test]
    fn figures_show_what_there_is() {
        let mut some = report("mraasr");
        let bars = accuracies(&some).unwrap();
        assert!(bars.contains("as they are 83.33 %, after apgd-ce 50.00 %, after square 33.33 %"), "{bars}");
        assert!(curve(&some).is_none());
        let iterates = iterates(&some).unwrap().unwrap();
        assert!(iterates.contains("up to 17. Counterexamples: apgd-ce 2, square 1."), "{iterates}");
        some.curve = Some(
            (0..=8)
                .map(|step| CurvePoint { epsilon: f64::from(step) / 1020.0, attacked_accuracy: 0.5 })
                .collect(),
        );
        let curve = curve(&some).unwrap().unwrap();
        assert!(curve.contains("50.00 % at 0, 50.00 % at 1/255, 50.00 % at 2/255"), "{curve}");
        assert!(super::iterates(&report("rrr")).is_none());
    }
}
