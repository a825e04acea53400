//! Figures as SVG, by the plotters crate. Text stays text in the font of the reader.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::error::PlotError;
use super::figure::{Figure, Panel, Scale, Series, Stroke};
use super::legend::{self, Entry};

/// plotters draws on whole pixels. A canvas of this many pixels for each one of the figure keeps curves smooth.
const CANVAS: i32 = 4;

/// Sizes in pixels of the figure.
pub(super) const WIDTH: i32 = 760;
pub(super) const TITLE: i32 = 40;
const PANEL_TITLE: i32 = 24;
pub(super) const LEGEND_ROW: i32 = 20;
pub(super) const PLOT: i32 = 300;
/// Space for tick labels and axis label, on the left of and below a plot.
pub(super) const LABELS: [i32; 2] = [80, 52];
/// Of that space, what stays free at the edge.
pub(super) const EDGE: i32 = 8;
/// Space for half a tick label on the right of a plot.
pub(super) const RIGHT: i32 = 28;

/// Up to so many points of a series are marked each.
const MARKED_POINTS: usize = 40;

const FONT: &str = "sans-serif";
pub(super) const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
pub(super) const AXIS: RGBColor = RGBColor(0x57, 0x60, 0x6a);
pub(super) const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
/// Contrast with white of at least 3 (WCAG 2.1, 1.4.11).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x2f, 0x7f, 0xd1),
    RGBColor(0xd1, 0x62, 0x0c),
    RGBColor(0x25, 0x93, 0x5a),
    RGBColor(0xb0, 0x52, 0x9c),
    RGBColor(0xcc, 0x47, 0x47),
    RGBColor(0x1a, 0x8f, 0x9c),
    RGBColor(0x96, 0x75, 0x2a),
    RGBColor(0x7d, 0x7d, 0x7d),
];

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, Y> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>;
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

impl Figure {
    /// The figure as an SVG file.
    ///
    /// # Errors
    /// [`PlotError::Draw`].
    pub fn svg(&self) -> Result<String, PlotError> {
        let height = TITLE + self.panels.iter().map(panel_height).sum::<i32>();
        let mut text = String::new();
        self.draw(&mut text, height).map_err(|error| PlotError::Draw { reason: error.to_string() })?;
        Ok(with_header(&text, height, &self.title, &self.description))
    }

    fn draw(&self, text: &mut String, height: i32) -> Drawn {
        let root =
            SVGBackend::with_string(text, (canvas(WIDTH) as u32, canvas(height) as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        write(&root, &self.title, 16, FontStyle::Bold, (16, 12))?;
        let mut top = TITLE;
        for panel in &self.panels {
            let bottom = top + panel_height(panel);
            let (_, below) = root.split_vertically(canvas(top));
            let (area, _) = below.split_vertically(canvas(bottom - top));
            draw_panel(&area, panel)?;
            top = bottom;
        }
        root.present()
    }
}

/// The file with the size of the figure and, for screen readers, its title and description.
pub(super) fn with_header(text: &str, height: i32, title: &str, description: &str) -> String {
    let content = text.split_once('>').map_or("", |(_, content)| content);
    let (width_canvas, height_canvas) = (canvas(WIDTH), canvas(height));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {width_canvas} {height_canvas}\" role=\"img\" aria-labelledby=\"title description\">\n\
         <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>{content}",
        escape(title),
        escape(description),
    )
}

/// Pixels of the canvas.
pub(super) fn canvas(pixels: i32) -> i32 {
    pixels * CANVAS
}

/// Height of everything above the plot.
fn head_height(panel: &Panel) -> i32 {
    let title = if panel.title.is_empty() { 0 } else { PANEL_TITLE };
    title + legend::rows(&legend_of(panel)) as i32 * LEGEND_ROW
}

fn panel_height(panel: &Panel) -> i32 {
    head_height(panel) + PLOT
}

fn legend_of(panel: &Panel) -> Vec<Entry> {
    legend::entries(panel.series.iter().map(|series| series.name.as_str()), WIDTH - LABELS[0])
}

fn draw_panel(area: &Area<'_>, panel: &Panel) -> Drawn {
    let (head, plot) = area.split_vertically(canvas(head_height(panel)));
    let mut top = 0;
    if !panel.title.is_empty() {
        write(&head, &panel.title, 13, FontStyle::Bold, (LABELS[0], 4))?;
        top += PANEL_TITLE;
    }
    draw_legend(&head, panel, top)?;
    let x = range(Scale::Linear, panel.series.iter().flat_map(|series| &series.points).map(|point| point.0));
    let y = range(panel.y_scale, panel.series.iter().flat_map(|series| &series.points).map(|point| point.1));
    match panel.y_scale {
        Scale::Linear => {
            let y = panel.y_ends.map_or_else(|| padded(&y), |[low, high]| low..high);
            draw_plot(&plot, panel, x, y)
        }
        Scale::Log => draw_plot(&plot, panel, x, (y.start / 1.15..y.end * 1.15).log_scale()),
    }
}

fn draw_legend(area: &Area<'_>, panel: &Panel, top: i32) -> Drawn {
    for (entry, series) in legend_of(panel).into_iter().zip(&panel.series) {
        let (left, middle) = (LABELS[0] + entry.left, top + entry.row as i32 * LEGEND_ROW + LEGEND_ROW / 2);
        let line = [(left, middle), (left + legend::LINE - 6, middle)].map(|(x, y)| (canvas(x), canvas(y)));
        match series.stroke {
            Stroke::Solid => area.draw(&PathElement::new(line.to_vec(), line_style(series)))?,
            Stroke::Dashed => area.draw(&dashes(line.into_iter(), line_style(series)))?,
        }
        write(area, &entry.name, 12, FontStyle::Normal, (left + legend::LINE, middle - 6))?;
    }
    Ok(())
}

/// Axes, grid and series.
fn draw_plot<Y>(area: &Area<'_>, panel: &Panel, x: Range<f64>, y: Y) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let [left, below] = LABELS;
    let mut chart = ChartBuilder::on(area)
        .margin_top(canvas(8))
        .margin_right(canvas(RIGHT))
        .margin_left(canvas(EDGE))
        .margin_bottom(canvas(EDGE))
        .y_label_area_size(canvas(left - EDGE))
        .x_label_area_size(canvas(below - EDGE))
        .build_cartesian_2d(x, y)?;
    let labels = text_style(12, FontStyle::Normal);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID.stroke_width(canvas(1) as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(AXIS.stroke_width(canvas(1) as u32))
        .label_style(labels.clone())
        .axis_desc_style(labels)
        .x_labels(8)
        .y_labels(7)
        .x_label_formatter(&|value| tick(*value))
        .y_label_formatter(&|value| tick(*value))
        .x_desc(&panel.x_label)
        .y_desc(&panel.y_label)
        .set_all_tick_mark_size(canvas(4))
        .draw()?;
    for series in &panel.series {
        draw_series(&mut chart, series, &panel.runs(series))?;
    }
    Ok(())
}

fn draw_series<Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'_, Y>,
    series: &Series,
    runs: &[&[(f64, f64)]],
) -> Drawn {
    let (style, fill) = (line_style(series), colour(series).filled());
    let all_are_marked = series.points.len() <= MARKED_POINTS;
    for run in runs {
        let points = run.iter().copied();
        match series.stroke {
            Stroke::Solid => drop(chart.draw_series(std::iter::once(PathElement::new(run.to_vec(), style)))?),
            Stroke::Dashed => drop(chart.draw_series(std::iter::once(dashes(points.clone(), style)))?),
        }
        // A point between two gaps has no line that would show it.
        if all_are_marked || run.len() == 1 {
            chart.draw_series(points.map(|point| Circle::new(point, canvas(5) / 2, fill)))?;
        }
    }
    Ok(())
}

fn dashes<I: Iterator + Clone>(points: I, style: ShapeStyle) -> DashedPathElement<I, i32> {
    DashedPathElement::new(points, canvas(7), canvas(4), style)
}

fn colour(series: &Series) -> RGBColor {
    colour_of(series.colour)
}

/// The colour of that index.
pub(super) fn colour_of(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn line_style(series: &Series) -> ShapeStyle {
    colour(series).stroke_width((canvas(9) / 5) as u32)
}

/// Text of that size with its upper left corner there.
pub(super) fn write(area: &Area<'_>, text: &str, size: i32, style: FontStyle, (x, y): (i32, i32)) -> Drawn {
    area.draw_text(&printable(text), &text_style(size, style), (canvas(x), canvas(y)))
}

pub(super) fn text_style(size: i32, style: FontStyle) -> TextStyle<'static> {
    // plotters writes sizes divided by 1.24.
    (FONT, f64::from(canvas(size)) * 1.24, style).into_font().color(&INK)
}

/// From the least to the greatest of the values that the scale shows, widened where they are equal; some range without
/// any.
fn range(scale: Scale, values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values
        .filter(|value| scale.shows(*value))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match scale {
        Scale::Linear if low > high => 0.0..1.0,
        Scale::Log if low > high => 1.0..10.0,
        Scale::Linear if high - low <= 1e-5 * high.abs().max(low.abs()) => {
            let margin = if high == 0.0 { 1.0 } else { 0.5 * high.abs() };
            low - margin..high + margin
        }
        Scale::Log if high / low < 1.0 + 1e-5 => low / 2.0..high * 2.0,
        _ => low..high,
    }
}

/// A twentieth more on both ends, so that no curve lies on the frame.
fn padded(range: &Range<f64>) -> Range<f64> {
    let margin = (range.end - range.start) / 20.0;
    range.start - margin..range.end + margin
}

/// A tick: plain from 0.0001 to below 100,000, with an exponent outside. Rounding errors of its computation are cut.
pub(super) fn tick(value: f64) -> String {
    let rounded: f64 = format!("{value:.6e}").parse().unwrap_or(value);
    if rounded == 0.0 || rounded.abs() < 1e-12 {
        "0".to_owned()
    } else if (1e-4..1e5).contains(&rounded.abs()) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

/// Without characters that XML does not allow.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c })
        .collect()
}

fn escape(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series { name: name.to_owned(), points: points.to_vec(), colour: 0, stroke: Stroke::Solid }
    }

    fn svg(series: Vec<Series>, y_scale: Scale) -> String {
        let (title, x_label, y_label) = ("Panel".to_owned(), "step".to_owned(), "loss".to_owned());
        let panels = vec![Panel { title, x_label, y_label, y_scale, y_ends: None, series }];
        Figure { title: "A <title>".into(), description: "Loss & more.".into(), panels }.svg().unwrap()
    }

    /// The value of an attribute in every element of that kind.
    fn attributes(svg: &str, element: &str, attribute: &str) -> Vec<f64> {
        let start = format!("<{element} ");
        let elements = svg.split(&start).skip(1);
        let value = |text: &str| {
            text.split_once(&format!(" {attribute}=\"")).unwrap().1.split_once('"').unwrap().0.parse()
        };
        elements.map(|text| value(&format!(" {text}")).unwrap()).collect()
    }

    /// Every element closed; returns the texts.
    fn texts(svg: &str) -> Vec<String> {
        let (mut open, mut texts) = (Vec::new(), Vec::new());
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap();
            match (tag.strip_prefix('/'), tag.ends_with('/')) {
                (Some(name), _) => assert_eq!(open.pop(), Some(name), "{tag}"),
                (None, true) => {}
                (None, false) => open.push(tag.split(' ').next().unwrap()),
            }
            texts.push(text.trim().to_owned());
        }
        assert!(open.is_empty(), "{open:?}");
        texts
    }

    #[test]
    fn points_are_where_the_axes_say() {
        let linear = svg(vec![series("a", &[(0.0, 0.0), (5.0, 0.5), (10.0, 1.0)])], Scale::Linear);
        let (x, y) = (attributes(&linear, "circle", "cx"), attributes(&linear, "circle", "cy"));
        // The x axis ends with the data; a pixel of the canvas is a quarter of one of the figure.
        let (left, right) = (f64::from(canvas(LABELS[0])), f64::from(canvas(WIDTH - RIGHT)));
        for (found, wanted) in x.iter().zip([left, f64::midpoint(left, right), right]) {
            assert!((found - wanted).abs() <= 2.0, "{x:?}");
        }
        assert!(y[2] < y[1] && ((y[0] - y[1]) - (y[1] - y[2])).abs() <= 2.0, "{y:?}");
        let log = svg(vec![series("a", &[(0.0, 0.01), (5.0, 0.1), (10.0, 1.0)])], Scale::Log);
        let y = attributes(&log, "circle", "cy");
        assert!(y[2] < y[1] && ((y[0] - y[1]) - (y[1] - y[2])).abs() <= 2.0, "{y:?}");
    }

    #[test]
    fn an_axis_ends_where_it_is_told_to() {
        let svg_of = |y_ends| {
            let (title, x_label, y_label) = (String::new(), "epoch".to_owned(), "accuracy, %".to_owned());
            let series = vec![series("a", &[(0.0, 40.0), (1.0, 100.0)])];
            let panels = vec![Panel { title, x_label, y_label, y_scale: Scale::Linear, y_ends, series }];
            Figure { title: "T".into(), description: "D".into(), panels }.svg().unwrap()
        };
        let ended = svg_of(Some([0.0, 100.0]));
        let texts = texts(&ended);
        assert!(texts.contains(&"0".to_owned()) && texts.contains(&"100".to_owned()), "{texts:?}");
        // 100 % is the upper edge of the plot: 8 pixels below the legend.
        let top = f64::from(canvas(TITLE + LEGEND_ROW + 8));
        assert!((attributes(&ended, "circle", "cy")[1] - top).abs() <= 2.0);
        assert!((attributes(&svg_of(None), "circle", "cy")[1] - top).abs() > 10.0);
    }

    #[test]
    fn dashes_break_a_line() {
        let points = [(0.0, 1.0), (9.0, 2.0)];
        let lines = |stroke| {
            let svg = svg(vec![Series { stroke, ..series("a", &points) }], Scale::Linear);
            svg.matches("stroke=\"#2F7FD1\"").count()
        };
        // One in the legend, one in the plot.
        assert_eq!(lines(Stroke::Solid), 2);
        assert!(lines(Stroke::Dashed) > 40, "{}", lines(Stroke::Dashed));
    }

    #[test]
    fn long_series_are_marked_only_between_gaps() {
        let mut points: Vec<(f64, f64)> = (0..100).map(|x| (f64::from(x), 1.0)).collect();
        assert_eq!(svg(vec![series("a", &points)], Scale::Linear).matches("<circle").count(), 0);
        points[50].1 = f64::NAN;
        points[52].1 = f64::NAN;
        assert_eq!(svg(vec![series("a", &points)], Scale::Linear).matches("<circle").count(), 1);
    }

    #[test]
    fn a_figure_without_points_is_still_a_figure() {
        let nan = series("nan", &[(f64::NAN, 1.0), (1.0, f64::INFINITY)]);
        for series in [Vec::new(), vec![series("empty", &[])], vec![nan], vec![series("one", &[(3.0, 0.0)])]]
        {
            for scale in [Scale::Linear, Scale::Log] {
                let svg = svg(series.clone(), scale);
                assert!(!texts(&svg).is_empty() && !svg.contains("\"NaN") && !svg.contains("\"inf"), "{svg}");
            }
        }
    }

    #[test]
    fn names_title_and_description_are_escaped() {
        let svg = svg(vec![series("<a & \"b\">\u{1}", &[(0.0, 1.0)])], Scale::Linear);
        let texts = texts(&svg);
        for wanted in [
            "A &lt;title&gt;",
            "Loss &amp; more.",
            "Panel",
            "step",
            "loss",
            "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}",
        ] {
            assert!(texts.iter().any(|text| text == wanted), "{wanted}: {texts:?}");
        }
    }

    #[test]
    fn ticks_are_short() {
        for (value, wanted) in [
            (0.1 + 0.2, "0.3"),
            (-0.0, "0"),
            (1e-17, "0"),
            (2e-5, "2e-5"),
            (1.5e5, "1.5e5"),
            (99_999.0, "99999"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(tick(value), wanted);
        }
    }

    /// Relative luminance and contrast of WCAG 2.1.
    #[test]
    fn colours_are_seen_on_white() {
        let contrast = |RGBColor(red, green, blue): RGBColor| {
            let linear = |value: u8| {
                let value = f64::from(value) / 255.0;
                if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            1.05 / (0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) + 0.05)
        };
        assert!(COLOURS.iter().all(|colour| contrast(*colour) >= 3.0));
        assert!(contrast(INK) >= 7.0);
    }
}
