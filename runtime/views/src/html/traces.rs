//! How far the searches of each attack came by which iterate, as a figure and a table.

use mimir_bundle::statistics::fraction;
use mimir_runtime::evaluate::TracePoint;
use mimir_runtime::report::{AttackSummary, Report, percent};
use serde::Serialize;

use super::canvas::{Anchor, Canvas, Drawn, Ink, Point, figure};
use super::figures::{BELOW, LEFT, MOST_SERIES, PLOT, Plot, TOP, round_steps};
use super::text::clipped;

/// Points of one series that are drawn, and rows of one attack in the table, at most.
const POINTS: usize = 64;
const ROWS: usize = 5;
const LEGEND: f64 = 20.0;

/// A row of the table.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TraceRow {
    attack: String,
    iterate: usize,
    margin: String,
    broken: String,
}

/// Attacks with a trace that can be drawn.
fn traced(report: &Report) -> Vec<&AttackSummary> {
    let is_drawable = |attack: &&AttackSummary| {
        !attack.trace.is_empty() && attack.trace.iter().all(|point| point.mean_margin.is_finite())
    };
    report.attacks.iter().filter(is_drawable).take(MOST_SERIES).collect()
}

/// Some iterates of each attack: the first, the last and some between.
pub(super) fn rows(report: &Report) -> Vec<TraceRow> {
    let mut rows = Vec::new();
    for attack in traced(report) {
        let last = attack.trace.len() - 1;
        let mut shown: Vec<usize> = (0..ROWS).map(|row| row * last / (ROWS - 1)).collect();
        shown.dedup();
        rows.extend(shown.into_iter().map(|index| row(attack, &attack.trace[index])));
    }
    rows
}

fn row(attack: &AttackSummary, point: &TracePoint) -> TraceRow {
    TraceRow {
        attack: clipped(&attack.name, 60),
        iterate: point.iterate,
        margin: format!("{:.3}", point.mean_margin),
        broken: percent(share(attack, point)),
    }
}

fn share(attack: &AttackSummary, point: &TracePoint) -> f64 {
    fraction(point.broken.min(attack.attacked), attack.attacked.max(1))
}

/// Searches differ in length by orders of magnitude.
fn place(iterate: usize) -> f64 {
    (iterate as f64 + 1.0).log10()
}

/// Mean lowest margins above, shares of broken images below.
pub(super) fn traces(report: &Report) -> Option<Result<String, String>> {
    let attacks = traced(report);
    let most = attacks.iter().flat_map(|attack| &attack.trace).map(|point| point.iterate).max()?;
    Some(draw(&attacks, most.max(1)))
}

fn draw(attacks: &[&AttackSummary], most: usize) -> Result<String, String> {
    let plot = Plot { most: place(most) };
    let first = TOP + LEGEND * attacks.len() as f64;
    let second = first + PLOT + BELOW + 8.0;
    let (low, high) = range(attacks);
    let ticks: Vec<(f64, String)> =
        round_steps(most, &plot, place).into_iter().map(|step| (place(step), step.to_string())).collect();
    let described: Vec<String> = attacks.iter().filter_map(|attack| words(attack)).collect();
    let label = format!(
        "Curves: mean lowest margin and share of broken images over the iterates of a search: {}.",
        described.join("; ")
    );
    let height = |margin: f64| (margin - low) / (high - low);
    figure(second + PLOT + BELOW, &label, |canvas| {
        let margin_at = |share: f64| format!("{:.2}", low + share * (high - low));
        plot.labelled_frame(
            canvas,
            first,
            &ticks,
            "lowest margin (iterate of the search, logarithmic)",
            margin_at,
        )?;
        if low < 0.0 && high > 0.0 {
            let y = plot.y(height(0.0), first);
            canvas.dashed(&[(LEFT, y), (plot.x(plot.most), y)], Ink::Muted, 1.0)?;
        }
        let percents = |share: f64| format!("{:.0} %", 100.0 * share);
        plot.labelled_frame(
            canvas,
            second,
            &ticks,
            "broken images (iterate of the search, logarithmic)",
            percents,
        )?;
        for (index, attack) in attacks.iter().enumerate() {
            let row = TOP + LEGEND * index as f64;
            canvas.line(&[(LEFT, row), (LEFT + 22.0, row)], Ink::Series(index), 2.0)?;
            canvas.mark((LEFT + 11.0, row), Ink::Series(index), index)?;
            canvas.text((LEFT + 30.0, row), Anchor::Start, Ink::Text, &clipped(&attack.name, 40))?;
            let points = attack.trace.iter().take(POINTS);
            let margins = points
                .clone()
                .map(|point| (plot.x(place(point.iterate)), plot.y(height(point.mean_margin), first)));
            series(canvas, &margins.collect::<Vec<_>>(), index)?;
            let shares =
                points.map(|point| (plot.x(place(point.iterate)), plot.y(share(attack, point), second)));
            series(canvas, &shares.collect::<Vec<_>>(), index)?;
        }
        Ok(())
    })
}

fn series(canvas: &Canvas<'_>, line: &[Point], index: usize) -> Drawn {
    canvas.line(line, Ink::Series(index), 2.0)?;
    let every = (line.len() / 6).max(1);
    line.iter().rev().step_by(every).try_for_each(|point| canvas.mark(*point, Ink::Series(index), index))
}

/// What the axis of margins must hold, never nothing.
fn range(attacks: &[&AttackSummary]) -> (f64, f64) {
    let margins = attacks.iter().flat_map(|attack| &attack.trace).map(|point| point.mean_margin);
    let (low, high) =
        margins.fold((f64::MAX, f64::MIN), |(low, high), margin| (low.min(margin), high.max(margin)));
    if high - low > 1e-9 { (low, high) } else { (low - 0.5, high + 0.5) }
}

/// `apgd-ce 1.20 to -0.30 after 100, 54.00 % broken`.
fn words(attack: &AttackSummary) -> Option<String> {
    let (first, last) = (attack.trace.first()?, attack.trace.last()?);
    Some(format!(
        "{} {:.2} to {:.2} after {}, {} broken",
        clipped(&attack.name, 40),
        first.mean_margin,
        last.mean_margin,
        last.iterate,
        percent(share(attack, last))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    fn traced_report() -> Report {
        let mut report = report("mraasr");
        let point = |(iterate, mean_margin, broken)| TracePoint { iterate, mean_margin, broken };
        report.attacks[0].trace =
            [(0, 1.5, 0), (1, 0.5, 1), (10, -0.5, 1), (100, -0.75, 2)].map(point).into();
        report.attacks[1].trace = [(0, 1.0, 0), (5000, 0.25, 1)].map(point).into();
        report
    }

    #[test]
    fn traces_are_drawn_and_described() {
        let drawn = traces(&traced_report()).unwrap().unwrap();
        assert!(
            drawn.contains("apgd-ce 1.50 to -0.75 after 100, 40.00 % broken; square 1.00 to 0.25 after 5000"),
            "{drawn}"
        );
        assert!(drawn.contains("\n1.50\n") && drawn.contains("\n-0.75\n"), "the axis of margins: {drawn}");
        let rows = rows(&traced_report());
        let shown: Vec<(&str, usize, &str, &str)> =
            rows.iter().map(|row| (&row.attack[..], row.iterate, &row.margin[..], &row.broken[..])).collect();
        assert_eq!(shown[0], ("apgd-ce", 0, "1.500", "0.00 %"));
        assert_eq!(shown[3], ("apgd-ce", 100, "-0.750", "40.00 %"));
        assert_eq!(shown.len(), 6);
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        assert!(traces(&report("rrr")).is_none());
        let mut odd = traced_report();
        odd.attacks[0].trace[0].mean_margin = f64::NAN;
        odd.attacks[1].trace[0].mean_margin = f64::INFINITY;
        assert!(traces(&odd).is_none() && rows(&odd).is_empty());
        // A level trace, and far too many points.
        odd.attacks[0].trace = vec![TracePoint { iterate: 3, mean_margin: 1.0, broken: 9 }; 10_000];
        let drawn = traces(&odd).unwrap().unwrap();
        assert!(drawn.len() < 30_000 && drawn.contains("100.00 % broken"), "{}", drawn.len());
    }
}
