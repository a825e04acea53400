//! Pictures of the loss: maps of margins around images, and of losses around the weights, each with a table.

use mimir_bundle::statistics::percent;
use mimir_runtime::landscape::{InputLandscape, WeightLandscape};
use mimir_runtime::report::Report;
use serde::Serialize;

use super::canvas::{Anchor, Canvas, Drawn, Ink, figure};
use super::classes::class_name;

/// Maps that the page shows, and steps of an axis, at most.
const MAPS: usize = 6;
const STEPS: usize = 41;

/// Bytes that all maps around images take, at most: smooth ones take some 30,000, and the page has a limit.
const MOST_BYTES: usize = 250_000;

/// Where a map lies, and how large it is.
const LEFT: f64 = 64.0;
const TOP: f64 = 10.0;
const SIDE: f64 = 330.0;
const BELOW: f64 = 46.0;

/// Shades of a colour. Few, so that cells of one shade are one rectangle.
const SHADES: f64 = 8.0;

/// The maps of a report, with their words.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Landscapes {
    maps: Vec<InputMap>,
    weights: Option<WeightMap>,
}

#[derive(Debug, Clone, Serialize)]
struct InputMap {
    image: usize,
    label: String,
    figure: String,
    /// Margin of the image, the lowest on the map, share of the map that is misclassified, and from how many radii along the
    /// adversarial direction.
    clean: String,
    lowest: String,
    misclassified: String,
    from: String,
}

#[derive(Debug, Clone, Serialize)]
struct WeightMap {
    images: usize,
    tensors: usize,
    figure: String,
    rows: Vec<WeightRow>,
}

/// Along the first direction.
#[derive(Debug, Clone, Serialize)]
struct WeightRow {
    step: String,
    loss: String,
    accuracy: String,
}

/// What a report has drawn; none where it has nothing that can be shown.
///
/// # Errors
/// What plotters says.
pub(super) fn landscapes(report: &Report) -> Result<Option<Landscapes>, String> {
    let Some(found) = &report.landscapes else { return Ok(None) };
    let images = found.images.iter().filter(|map| is_whole(&map.axis, &map.margins)).take(MAPS);
    let (mut maps, mut bytes) = (Vec::new(), 0);
    for map in images {
        let map = input_map(report, map)?;
        bytes += map.figure.len();
        if bytes > MOST_BYTES {
            break;
        }
        maps.push(map);
    }
    let weights = found
        .weights
        .as_ref()
        .filter(|map| is_whole(&map.axis, &map.losses) && is_whole(&map.axis, &map.accuracies));
    let weights = weights.map(weight_map).transpose()?;
    Ok((!maps.is_empty() || weights.is_some()).then_some(Landscapes { maps, weights }))
}

/// Whether a map has a cell for each pair of steps, and not too many.
fn is_whole<T>(axis: &[f64], rows: &[Vec<T>]) -> bool {
    let is_axis =
        (2..=STEPS).contains(&axis.len()) && axis.iter().all(|step| step.is_finite()) && axis.is_sorted();
    is_axis && rows.len() == axis.len() && rows.iter().all(|row| row.len() == axis.len())
}

fn input_map(report: &Report, map: &InputLandscape) -> Result<InputMap, String> {
    let InputLandscape { image, label, axis, margins } = map;
    let middle = nearest_to_zero(axis);
    let cells = || margins.iter().flatten().copied();
    let finite = |margin: Option<f32>| margin.filter(|margin| margin.is_finite());
    let lowest = cells().filter_map(finite).fold(f32::INFINITY, f32::min);
    let misclassified = cells().filter(|margin| margin.is_none_or(|margin| margin <= 0.0)).count();
    let share = percent(misclassified as f64 / (axis.len() * axis.len()) as f64);
    let from = axis.iter().zip(&margins[middle]).skip(middle);
    let from =
        from.into_iter().find(|(_, margin)| margin.is_none_or(|margin| margin <= 0.0)).map(|(step, _)| *step);
    let from = from.map_or_else(|| "nowhere here".to_owned(), |step| format!("{step:.1} ε"));
    let clean =
        finite(margins[middle][middle]).map_or_else(|| "none".to_owned(), |margin| format!("{margin:.3}"));
    let most = cells().filter_map(finite).map(f32::abs).fold(f32::MIN_POSITIVE, f32::max);
    let shade = |margin: Option<f32>| match finite(margin) {
        Some(margin) if margin > 0.0 => (Ink::Accent, shade(f64::from(margin / most))),
        Some(margin) => (Ink::Limit, shade(f64::from(-margin / most)).max(1)),
        None => (Ink::Muted, SHADES as u32),
    };
    let shades: Vec<Vec<(Ink, u32)>> =
        margins.iter().map(|row| row.iter().map(|margin| shade(*margin)).collect()).collect();
    let name = class_name(&report.data, *label);
    let words = format!(
        "Map: margins around image {image} ({name}) along an adversarial and a random direction. At the image {clean}, lowest \
         {lowest:.3}; {share} of the map is misclassified; along the adversarial direction from {from}."
    );
    let svg = draw(&words, axis, &shades, "across: adversarial direction, up: random one, in ε")?;
    Ok(InputMap {
        image: *image,
        label: name,
        figure: svg,
        clean,
        lowest: format!("{lowest:.3}"),
        misclassified: share,
        from,
    })
}

fn weight_map(map: &WeightLandscape) -> Result<WeightMap, String> {
    let WeightLandscape { images, tensors, axis, losses, accuracies } = map;
    let finite = |loss: Option<f64>| loss.filter(|loss| loss.is_finite());
    let known = losses.iter().flatten().filter_map(|loss| finite(*loss));
    let (low, high) = known.fold((f64::MAX, f64::MIN), |(low, high), loss| (low.min(loss), high.max(loss)));
    // Losses rise by orders of magnitude: equal factors are equal steps.
    let place = |loss: f64| (1.0 + loss - low).ln() / (1.0 + high - low).ln().max(f64::MIN_POSITIVE);
    let shade = |loss: Option<f64>| match finite(loss) {
        Some(loss) => (Ink::Accent, shade(place(loss))),
        None => (Ink::Muted, SHADES as u32),
    };
    let shades: Vec<Vec<(Ink, u32)>> =
        losses.iter().map(|row| row.iter().map(|loss| shade(*loss)).collect()).collect();
    let middle = nearest_to_zero(axis);
    let shown =
        |loss: Option<f64>| finite(loss).map_or_else(|| "not finite".to_owned(), |loss| format!("{loss:.3}"));
    let words = format!(
        "Map: mean cross-entropy of {images} images where the weights are moved along two random directions. At the model {}, \
         between {low:.3} and {high:.3} on the map.",
        shown(losses[middle][middle])
    );
    let svg = draw(&words, axis, &shades, "across: first direction, up: second, in lengths of the weights")?;
    let row = |index: usize| WeightRow {
        step: format!("{:.1}", axis[index]),
        loss: shown(losses[middle][index]),
        accuracy: percent(accuracies[middle][index].clamp(0.0, 1.0)),
    };
    Ok(WeightMap {
        images: *images,
        tensors: *tensors,
        figure: svg,
        rows: (0..axis.len()).map(row).collect(),
    })
}

fn nearest_to_zero(axis: &[f64]) -> usize {
    let steps = axis.iter().enumerate();
    steps.min_by(|(_, left), (_, right)| left.abs().total_cmp(&right.abs())).map_or(0, |(index, _)| index)
}

/// A share as one of few shades.
fn shade(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * SHADES).round() as u32
}

/// Cells in their shades, a line between those of another sign, ticks, names of the axes and a mark in the middle.
fn draw(words: &str, axis: &[f64], shades: &[Vec<(Ink, u32)>], name: &str) -> Result<String, String> {
    let cell = SIDE / axis.len() as f64;
    let x = |column: usize| LEFT + cell * column as f64;
    // Steps grow upwards.
    let y = |row: usize| TOP + SIDE - cell * row as f64;
    figure(TOP + SIDE + BELOW, words, |canvas| {
        for (row, cells) in shades.iter().enumerate() {
            let mut start = 0;
            for run in cells.chunk_by(|left, right| left == right) {
                let (ink, shade) = run[0];
                let (from, to) = ((x(start), y(row + 1)), (x(start + run.len()), y(row)));
                canvas.shaded_bar(from, to, ink, f64::from(shade) / SHADES)?;
                start += run.len();
            }
        }
        borders(canvas, shades, &x, &y)?;
        for tick in [0, axis.len() / 4, axis.len() / 2, axis.len() - 1 - axis.len() / 4, axis.len() - 1] {
            let text = format!("{:.1}", axis[tick]);
            canvas.text((x(tick) + cell / 2.0, TOP + SIDE + 14.0), Anchor::Middle, Ink::Muted, &text)?;
            canvas.text((LEFT - 6.0, y(tick) - cell / 2.0), Anchor::End, Ink::Muted, &text)?;
        }
        canvas.text((LEFT + SIDE / 2.0, TOP + SIDE + 34.0), Anchor::Middle, Ink::Muted, &name)?;
        let middle = nearest_to_zero(axis);
        canvas.mark((x(middle) + cell / 2.0, y(middle) - cell / 2.0), Ink::Text, 3)
    })
}

/// A line wherever the sign changes from a cell to the next: what is misclassified is not told by colour alone. Neighbours share
/// one line.
fn borders(
    canvas: &Canvas<'_>,
    shades: &[Vec<(Ink, u32)>],
    x: &impl Fn(usize) -> f64,
    y: &impl Fn(usize) -> f64,
) -> Drawn {
    let side = shades.len();
    let differ =
        |one: (usize, usize), other: (usize, usize)| shades[one.0][one.1].0 != shades[other.0][other.1].0;
    for edge in 1..side {
        for (from, to) in runs(side, |row| differ((row, edge - 1), (row, edge))) {
            canvas.line(&[(x(edge), y(from)), (x(edge), y(to))], Ink::Text, 1.5)?;
        }
        for (from, to) in runs(side, |column| differ((edge - 1, column), (edge, column))) {
            canvas.line(&[(x(from), y(edge)), (x(to), y(edge))], Ink::Text, 1.5)?;
        }
    }
    Ok(())
}

/// The longest ranges below a length on which something holds.
fn runs(length: usize, holds: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for index in (0..length).filter(|index| holds(*index)) {
        match runs.last_mut() {
            Some((_, end)) if *end == index => *end += 1,
            _ => runs.push((index, index + 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use mimir_runtime::landscape;

    use super::*;
    use crate::testing::report;

    fn with(images: Vec<InputLandscape>, weights: Option<WeightLandscape>) -> Report {
        let mut report = report("rra");
        report.landscapes = Some(landscape::Landscapes { images, weights });
        report
    }

    /// Margins that fall to the right, below zero from one radius.
    fn falling(steps: usize) -> InputLandscape {
        let axis: Vec<f64> = (0..steps).map(|step| 4.0 * step as f64 / (steps - 1) as f64 - 2.0).collect();
        let row: Vec<Option<f32>> = axis.iter().map(|step| Some(1.0 - *step as f32)).collect();
        InputLandscape { image: 1, label: 1, margins: vec![row; steps], axis }
    }

    fn bowl() -> WeightLandscape {
        let axis = vec![-1.0, 0.0, 1.0];
        let losses = vec![
            vec![Some(2.0), Some(1.0), Some(2.0)],
            vec![Some(1.0), Some(0.25), None],
            vec![Some(2.0), Some(1.0), Some(2.0)],
        ];
        let accuracies = vec![vec![0.5, 0.75, 0.5], vec![0.25, 1.0, 0.0], vec![0.5; 3]];
        WeightLandscape { images: 64, tensors: 7, axis, losses, accuracies }
    }

    #[test]
    fn maps_are_drawn_with_their_numbers() {
        let found = landscapes(&with(vec![falling(21)], Some(bowl()))).unwrap().unwrap();
        let map = &found.maps[0];
        assert_eq!(
            (map.clean.as_str(), map.lowest.as_str(), map.from.as_str()),
            ("1.000", "-1.000", "1.0 ε")
        );
        assert_eq!((map.label.as_str(), map.misclassified.as_str()), ("dog", "28.57 %"));
        let svg = &map.figure;
        assert!(
            svg.contains("image 1 (dog)") && svg.contains("from 1.0 ε") && svg.contains("#CF222E"),
            "{svg}"
        );
        assert!(svg.len() < 60_000, "{}", svg.len());
        let weights = found.weights.unwrap();
        let rows: Vec<(&str, &str, &str)> =
            weights.rows.iter().map(|row| (&row.step[..], &row.loss[..], &row.accuracy[..])).collect();
        assert_eq!(
            rows,
            [("-1.0", "1.000", "25.00 %"), ("0.0", "0.250", "100.00 %"), ("1.0", "not finite", "0.00 %")]
        );
        assert!(weights.figure.contains("At the model 0.250, between 0.250 and 2.000"));
    }

    #[test]
    fn neighbours_make_one_run() {
        assert_eq!(runs(6, |index| index != 2), [(0, 2), (3, 6)]);
        assert_eq!(runs(3, |_| false), []);
    }

    #[test]
    fn what_is_no_map_is_left_out() {
        assert!(landscapes(&report("rra")).unwrap().is_none());
        let mut ragged = falling(5);
        ragged.margins[2].pop();
        let mut endless = falling(5);
        endless.axis[1] = f64::NAN;
        let odd = vec![ragged, endless, falling(STEPS + 1), InputLandscape { axis: vec![], ..falling(5) }];
        assert!(landscapes(&with(odd, None)).unwrap().is_none());
        let found = landscapes(&with(vec![falling(5); 40], None)).unwrap().unwrap();
        assert_eq!(found.maps.len(), MAPS);
    }
}
