//! Groups of bars: results of several methods, with spreads, and marks for numbers to compare with.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::draw::{
    AXIS, Area, Drawn, EDGE, GRID, INK, LABELS, LEGEND_ROW, PLOT, RIGHT, TITLE, WIDTH, canvas, colour_of,
    text_style, tick, with_header, write,
};
use super::error::PlotError;
use super::legend;

/// Space between two groups, as a share of the width of one.
const GAP: f64 = 0.2;

/// Percentages in groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// Heading, and the name for screen readers.
    pub title: String,
    /// One or two sentences on what the figure shows, for screen readers.
    pub description: String,
    /// What the y axis shows; it goes from 0 to 100.
    pub y_label: String,
    /// Names of the bars of a group, for the legend.
    pub kinds: Vec<String>,
    /// From left to right.
    pub groups: Vec<BarGroup>,
}

/// Bars side by side, one for each kind that there is a number for.
#[derive(Debug, Clone, PartialEq)]
pub struct BarGroup {
    /// Below the group.
    pub name: String,
    /// In the order of the kinds.
    pub bars: Vec<Option<Bar>>,
}

/// One bar, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Its height.
    pub value: f64,
    /// Drawn as a line of this length up and down from the top.
    pub spread: Option<f64>,
    /// A number to compare with, drawn as a line across.
    pub mark: Option<f64>,
}

impl Bars {
    /// The figure as an SVG file.
    ///
    /// # Errors
    /// [`PlotError::Draw`].
    pub fn svg(&self) -> Result<String, PlotError> {
        let height = TITLE + self.legend_height() + PLOT;
        let mut text = String::new();
        self.draw(&mut text, height).map_err(|error| PlotError::Draw { reason: error.to_string() })?;
        Ok(with_header(&text, height, &self.title, &self.description))
    }

    fn legend(&self) -> Vec<legend::Entry> {
        let mark = self.marks().then_some("the paper");
        legend::entries(self.kinds.iter().map(String::as_str).chain(mark), WIDTH - LABELS[0])
    }

    fn legend_height(&self) -> i32 {
        legend::rows(&self.legend()) as i32 * LEGEND_ROW
    }

    fn marks(&self) -> bool {
        self.groups.iter().flat_map(|group| &group.bars).flatten().any(|bar| bar.mark.is_some())
    }

    fn draw(&self, text: &mut String, height: i32) -> Drawn {
        let size = (canvas(WIDTH) as u32, canvas(height) as u32);
        let root = SVGBackend::with_string(text, size).into_drawing_area();
        root.fill(&WHITE)?;
        write(&root, &self.title, 16, FontStyle::Bold, (16, 12))?;
        self.draw_legend(&root)?;
        let (_, plot) = root.split_vertically(canvas(TITLE + self.legend_height()));
        self.draw_plot(&plot)?;
        root.present()
    }

    fn draw_legend(&self, root: &Area<'_>) -> Drawn {
        for (kind, entry) in self.legend().into_iter().enumerate() {
            let (left, top) = (LABELS[0] + entry.left, TITLE + entry.row as i32 * LEGEND_ROW);
            let corners = [(canvas(left), canvas(top + 5)), (canvas(left + 20), canvas(top + 15))];
            if kind < self.kinds.len() {
                root.draw(&Rectangle::new(corners, colour_of(kind).filled()))?;
            } else {
                let middle = canvas(top + 10);
                let line = vec![(corners[0].0, middle), (corners[1].0, middle)];
                root.draw(&PathElement::new(line, INK.stroke_width(canvas(2) as u32)))?;
            }
            write(root, &entry.name, 12, FontStyle::Normal, (left + legend::LINE, top + 4))?;
        }
        Ok(())
    }

    fn draw_plot(&self, area: &Area<'_>) -> Drawn {
        let [left, below] = LABELS;
        let mut chart = ChartBuilder::on(area)
            .margin_top(canvas(8))
            .margin_right(canvas(RIGHT))
            .margin_left(canvas(EDGE))
            .margin_bottom(canvas(EDGE))
            .y_label_area_size(canvas(left - EDGE))
            .x_label_area_size(canvas(below - EDGE))
            .build_cartesian_2d(0.0..self.groups.len().max(1) as f64, 0.0..100.0)?;
        let labels = text_style(12, FontStyle::Normal);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .bold_line_style(GRID.stroke_width(canvas(1) as u32))
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS.stroke_width(canvas(1) as u32))
            .label_style(labels.clone())
            .axis_desc_style(labels.clone())
            .y_labels(6)
            .y_label_formatter(&|value| tick(*value))
            .y_desc(&self.y_label)
            .draw()?;
        let below_axis = labels.pos(Pos::new(HPos::Center, VPos::Top));
        for (place, group) in self.groups.iter().enumerate() {
            let width = (1.0 - GAP) / self.kinds.len().max(1) as f64;
            for (kind, bar) in group.bars.iter().enumerate() {
                let Some(bar) = bar else { continue };
                let from = place as f64 + GAP / 2.0 + kind as f64 * width;
                draw_bar(&mut chart, bar, kind, [from, from + 0.9 * width])?;
            }
            let name = Text::new(group.name.clone(), (place as f64 + 0.5, -2.0), below_axis.clone());
            chart.draw_series(std::iter::once(name))?;
        }
        Ok(())
    }
}

type Chart<'a> = ChartContext<
    'a,
    SVGBackend<'a>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn draw_bar(chart: &mut Chart<'_>, bar: &Bar, kind: usize, [from, to]: [f64; 2]) -> Drawn {
    let corners = [(from, 0.0), (to, bar.value.clamp(0.0, 100.0))];
    chart.draw_series(std::iter::once(Rectangle::new(corners, colour_of(kind).filled())))?;
    let line = |points: [(f64, f64); 2], width: i32| {
        PathElement::new(points.to_vec(), INK.stroke_width(canvas(width) as u32))
    };
    let middle = f64::midpoint(from, to);
    let spread = bar.spread.map(|spread| {
        let ends = [bar.value - spread, bar.value + spread].map(|end| (middle, end.clamp(0.0, 100.0)));
        line(ends, 1)
    });
    let mark = bar.mark.map(|mark| line([(from, mark), (to, mark)], 2));
    chart.draw_series(spread.into_iter().chain(mark))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_the_axis_with_their_marks_and_names() {
        let bar = |value, mark| Some(Bar { value, spread: Some(1.0), mark });
        let bars = Bars {
            title: "Methods".into(),
            description: "Two.".into(),
            y_label: "accuracy, %".into(),
            kinds: vec!["clean".into(), "PGD-10".into()],
            groups: vec![
                BarGroup { name: "a & b".into(), bars: vec![bar(50.0, Some(76.3)), None] },
                BarGroup { name: "c".into(), bars: vec![bar(25.0, None), bar(100.0, None)] },
            ],
        };
        let svg = bars.svg().unwrap();
        for text in ["a &amp; b", "clean", "PGD-10", "the paper", "accuracy, %", "\n100\n"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        let heights: Vec<f64> = svg
            .split("<rect ")
            .skip(1)
            .filter_map(|text| text.split_once(" height=\"")?.1.split_once('"')?.0.parse().ok())
            .collect();
        // The background, two of the legend, then the bars: half, a quarter, all of the axis.
        let [half, quarter, all] = heights[heights.len() - 3..] else { panic!("{heights:?}") };
        assert!((half / all - 0.5).abs() < 0.01 && (quarter / all - 0.25).abs() < 0.01, "{heights:?}");
        let without = Bars { groups: Vec::new(), ..bars };
        assert!(!without.svg().unwrap().contains("the paper"));
    }
}
