//! Figures: a column of panels with series, axes and legends.

use super::scale::{Axis, Ends, Fitted};
use super::svg::{Anchor, Svg};

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
/// Room for the labels of the y axis.
const LEFT: f64 = 76.0;
/// Room for half a label of the x axis.
const RIGHT: f64 = 28.0;
const PLOT_HEIGHT: f64 = 250.0;
/// Room for the labels of the x axis.
const BOTTOM: f64 = 52.0;
const TITLE_HEIGHT: f64 = 30.0;
const PANEL_TITLE_HEIGHT: f64 = 24.0;
const LEGEND_ROW: f64 = 20.0;
/// A line of a legend, and the space to its name.
const SAMPLE: f64 = 28.0;
/// Width of a character of 12 pixels in the widest of the common sans-serif fonts, on average.
const CHARACTER: f64 = 7.0;
/// Longest name in a legend.
const NAME_CHARACTERS: usize = 60;
/// With so few points, each one is marked.
const MARKED_POINTS: usize = 40;

/// Each has a contrast of at least 3 to both papers (WCAG 2.1, 1.4.11).
const COLOURS: [&str; 8] =
    ["#2f7fd1", "#d1620c", "#25935a", "#b0529c", "#cc4747", "#1a8f9c", "#96752a", "#7d7d7d"];
const LIGHT_PAPER: &str = "#ffffff";
const DARK_PAPER: &str = "#0d1117";

/// A drawing with one or more panels.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Heading, and the name for screen readers.
    pub title: String,
    /// One or two sentences on what the figure shows, for screen readers.
    pub description: String,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// Series over a pair of axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Heading; may be empty.
    pub title: String,
    /// Ends with the data.
    pub x: Axis,
    /// Ends with the ticks around the data.
    pub y: Axis,
    /// Drawn in this order.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// x and y. A point that its axes cannot show (not finite; not above 0 on a logarithmic axis) is a gap.
    pub points: Vec<(f64, f64)>,
    /// Number of a colour. There are eight; the ninth is the first again.
    pub colour: usize,
    /// How the line is broken.
    pub dash: Dash,
}

/// How a line is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    /// Not at all.
    Solid,
    /// Into dashes.
    Dashed,
    /// Into dots.
    Dotted,
}

impl Dash {
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
        }
    }
}

impl Figure {
    /// The figure as an SVG file.
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let heights: Vec<f64> = self.panels.iter().map(Panel::height).collect();
        let height = MARGIN + TITLE_HEIGHT + heights.iter().sum::<f64>();
        svg.rectangle("paper", (0.0, 0.0), (WIDTH, height));
        svg.text("ink title", (MARGIN, MARGIN + 14.0), Anchor::Start, &self.title);
        let mut top = MARGIN + TITLE_HEIGHT;
        for (panel, height) in self.panels.iter().zip(heights) {
            panel.draw(&mut svg, top);
            top += height;
        }
        svg.finish((WIDTH, height), &self.title, &self.description, &style())
    }
}

/// A panel with its axes fitted and its place known.
struct Frame {
    x: Fitted,
    y: Fitted,
    top: f64,
}

impl Panel {
    fn height(&self) -> f64 {
        self.head() + PLOT_HEIGHT + BOTTOM
    }

    /// Height of what is above the plot.
    fn head(&self) -> f64 {
        let title = if self.title.is_empty() { 0.0 } else { PANEL_TITLE_HEIGHT };
        let rows = self.legend().last().map_or(0, |entry| entry.row + 1);
        title + rows as f64 * LEGEND_ROW + 8.0
    }

    fn draw(&self, svg: &mut Svg, top: f64) {
        let mut below = top;
        if !self.title.is_empty() {
            svg.text("ink heading", (LEFT, top + 14.0), Anchor::Start, &self.title);
            below += PANEL_TITLE_HEIGHT;
        }
        self.draw_legend(svg, below);
        let frame = self.frame(top + self.head());
        frame.draw(svg, &self.x.label, &self.y.label);
        for series in &self.series {
            series.draw(svg, &self.runs(series, &frame));
        }
    }

    fn frame(&self, top: f64) -> Frame {
        let shown = self.series.iter().flat_map(|series| &series.points).filter(|point| self.shows(point));
        let x = Fitted::new(self.x.scale, shown.clone().map(|point| point.0), Ends::Tight);
        let y = Fitted::new(self.y.scale, shown.map(|point| point.1), Ends::Ticks);
        Frame { x, y, top }
    }

    fn shows(&self, &(x, y): &(f64, f64)) -> bool {
        self.x.scale.shows(x) && self.y.scale.shows(y)
    }

    /// The points of a series in pixels, cut at its gaps.
    fn runs(&self, series: &Series, frame: &Frame) -> Vec<Vec<(f64, f64)>> {
        let parts = series.points.split(|point| !self.shows(point));
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(|part| part.iter().map(|&point| frame.pixel(point)).collect()).collect()
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let mut entries = Vec::with_capacity(self.series.len());
        let (mut row, mut left) = (0, LEFT);
        for series in &self.series {
            let name = shortened(&series.name);
            let width = SAMPLE + name.chars().count() as f64 * CHARACTER + 18.0;
            if left > LEFT && left + width > WIDTH {
                (row, left) = (row + 1, LEFT);
            }
            entries.push(LegendEntry { name, row, left });
            left += width;
        }
        entries
    }

    fn draw_legend(&self, svg: &mut Svg, top: f64) {
        for (entry, series) in self.legend().into_iter().zip(&self.series) {
            let middle = top + (entry.row as f64 + 0.5) * LEGEND_ROW;
            svg.line(&series.class(), (entry.left, middle), (entry.left + SAMPLE - 6.0, middle));
            svg.text("ink", (entry.left + SAMPLE, middle + 4.0), Anchor::Start, &entry.name);
        }
    }
}

struct LegendEntry {
    name: String,
    row: usize,
    left: f64,
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARACTERS {
        return name.to_owned();
    }
    // The end of a name tells runs apart more often than its begin.
    let end: Vec<char> = name.chars().rev().take(NAME_CHARACTERS - 1).collect();
    std::iter::once('…').chain(end.into_iter().rev()).collect()
}

impl Frame {
    fn pixel(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let right = LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT);
        (right, self.top + (1.0 - self.y.place(y)) * PLOT_HEIGHT)
    }

    fn draw(&self, svg: &mut Svg, x_label: &str, y_label: &str) {
        let (right, bottom) = (WIDTH - RIGHT, self.top + PLOT_HEIGHT);
        for (tick, label) in &self.y.ticks {
            let height = self.top + (1.0 - self.y.place(*tick)) * PLOT_HEIGHT;
            svg.line("grid", (LEFT, height), (right, height));
            svg.text("ink", (LEFT - 8.0, height + 4.0), Anchor::End, label);
        }
        for (tick, label) in &self.x.ticks {
            let across = LEFT + self.x.place(*tick) * (right - LEFT);
            svg.line("axis", (across, bottom), (across, bottom + 5.0));
            svg.text("ink", (across, bottom + 18.0), Anchor::Middle, label);
        }
        svg.line("axis", (LEFT, bottom), (right, bottom));
        svg.line("axis", (LEFT, self.top), (LEFT, bottom));
        svg.text("ink", (f64::midpoint(LEFT, right), bottom + 36.0), Anchor::Middle, x_label);
        svg.upward_text("ink", (18.0, self.top + PLOT_HEIGHT / 2.0), Anchor::Middle, y_label);
    }
}

impl Series {
    fn class(&self) -> String {
        format!("series colour{} {}", self.colour % COLOURS.len(), self.dash.class())
    }

    fn draw(&self, svg: &mut Svg, runs: &[Vec<(f64, f64)>]) {
        let colour = self.colour % COLOURS.len();
        svg.group(&self.name, |svg| {
            svg.path(&self.class(), runs);
            let all_marked = self.points.len() <= MARKED_POINTS;
            // A point between two gaps has no line that would show it.
            for run in runs.iter().filter(|run| all_marked || run.len() == 1) {
                for &point in run {
                    svg.circle(&format!("dot{colour}"), point, 2.5);
                }
            }
        });
    }
}

/// Both papers; a reader without media queries takes the light one.
fn style() -> String {
    let mut style = format!(
        ".paper {{ fill: {LIGHT_PAPER}; }}\n.ink {{ fill: #24292f; font: 12px sans-serif; }}\n\
         .title {{ font: bold 16px sans-serif; }}\n.heading {{ font: bold 13px sans-serif; }}\n\
         .grid {{ stroke: #d8dee4; }}\n.axis {{ stroke: #57606a; }}\n\
         .series {{ fill: none; stroke-width: 1.8; stroke-linejoin: round; }}\n\
         .dashed {{ stroke-dasharray: 7 4; }}\n.dotted {{ stroke-dasharray: 2 3; }}\n"
    );
    for (index, colour) in COLOURS.iter().enumerate() {
        style.push_str(&format!(
            ".colour{index} {{ stroke: {colour}; }}\n.dot{index} {{ fill: {colour}; }}\n"
        ));
    }
    style.push_str(&format!(
        "@media (prefers-color-scheme: dark) {{\n.paper {{ fill: {DARK_PAPER}; }}\n.ink {{ fill: #e6edf3; }}\n\
         .grid {{ stroke: #30363d; }}\n.axis {{ stroke: #8b949e; }}\n}}\n"
    ));
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series { name: name.to_owned(), points: points.to_vec(), colour: 0, dash: Dash::Solid }
    }

    fn figure(series: Vec<Series>, y: Axis) -> Figure {
        let panel = Panel { title: "Panel".into(), x: Axis::linear("step"), y, series };
        Figure { title: "Title".into(), description: "Description".into(), panels: vec![panel] }
    }

    fn paths(svg: &str) -> Vec<&str> {
        svg.split("<path ")
            .skip(1)
            .map(|rest| rest.split(" d=\"").nth(1).unwrap().split('"').next().unwrap())
            .collect()
    }

    /// Relative luminance and contrast of WCAG 2.1.
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |colour: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn colours_are_seen_on_both_papers() {
        for colour in COLOURS {
            for paper in [LIGHT_PAPER, DARK_PAPER] {
                assert!(contrast(colour, paper) >= 3.0, "{colour} {paper} {}", contrast(colour, paper));
            }
        }
        assert!(contrast("#24292f", LIGHT_PAPER) >= 7.0 && contrast("#e6edf3", DARK_PAPER) >= 7.0);
    }

    #[test]
    fn points_are_where_the_axes_say() {
        let svg = figure(vec![series("a", &[(0.0, 0.0), (5.0, 0.5), (10.0, 1.0)])], Axis::linear("y")).svg();
        // Title 46, panel title 24, a row of legend 20, 8 pixels of air.
        let top = 98.0;
        let right = WIDTH - RIGHT;
        let wanted = format!(
            "M{LEFT} {}L{} {}L{right} {top}",
            top + PLOT_HEIGHT,
            f64::midpoint(LEFT, right),
            top + PLOT_HEIGHT / 2.0
        );
        assert_eq!(paths(&svg), [wanted]);
    }

    #[test]
    fn what_an_axis_cannot_show_is_a_gap() {
        let points =
            [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 0.0), (5.0, 1.0), (6.0, 2.0)];
        let moves = |y| {
            let svg = figure(vec![series("a", &points)], y).svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            paths(&svg)[0].matches('M').count()
        };
        assert_eq!(moves(Axis::linear("y")), 2);
        assert_eq!(moves(Axis::log("y")), 3);
    }

    #[test]
    fn a_figure_without_points_is_still_a_figure() {
        for series in [Vec::new(), vec![series("empty", &[])], vec![series("nan", &[(f64::NAN, 1.0)])]] {
            let svg = figure(series, Axis::log("y")).svg();
            assert!(svg.contains("</svg>") && !svg.contains("NaN"), "{svg}");
        }
    }

    #[test]
    fn elements_are_closed_and_names_escaped() {
        let names = ["<a & \"b\">".to_owned(), "é".repeat(200), String::new()];
        let all = names.iter().map(|name| series(name, &[(0.0, 1.0)])).collect();
        let svg = figure(all, Axis::linear("y")).svg();
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap();
            match (tag.strip_prefix('/'), tag.ends_with('/')) {
                (Some(name), _) => assert_eq!(open.pop(), Some(name), "{tag}"),
                (None, true) => {}
                (None, false) => open.push(tag.split(' ').next().unwrap()),
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(svg.contains("&lt;a &amp; &quot;b&quot;&gt;"));
        assert!(svg.contains(&format!(">…{}<", "é".repeat(NAME_CHARACTERS - 1))));
    }

    #[test]
    fn legends_wrap() {
        let names = (0..12).map(|index| series(&format!("a run with a long name {index}"), &[(0.0, 1.0)]));
        let panel = &figure(names.collect(), Axis::linear("y")).panels[0];
        let entries = panel.legend();
        // 28 + 25·7 + 18 pixels each, 684 to the right of the margin: three in a row.
        assert_eq!((entries[2].row, entries[3].row, entries[11].row), (0, 1, 3));
        assert_eq!(entries[3].left, LEFT);
        assert_eq!(panel.head(), PANEL_TITLE_HEIGHT + 4.0 * LEGEND_ROW + 8.0);
    }
}
