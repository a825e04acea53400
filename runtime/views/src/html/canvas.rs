//! Drawing SVG by plotters, in pixels of the page. Text stays text in the font of the page.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// plotters draws on whole pixels: this many for each one of the page keep curves smooth.
const FINE: f64 = 4.0;

/// Width of every figure. On a phone it is shown a little smaller, elsewhere a little larger.
pub(super) const WIDTH: f64 = 440.0;

/// Size of letters.
const LETTERS: f64 = 13.0;

/// A colour by what it means. The style sheet knows these and gives others in the dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text.
    Text,
    /// Labels and axes.
    Muted,
    /// Lines of the grid.
    Grid,
    /// What is measured.
    Accent,
    /// How far it is uncertain, and limits.
    Limit,
    /// One of several series.
    Series(usize),
}

/// Contrast with white of at least 3 (WCAG 2.1, 1.4.11).
const SERIES: [RGBColor; 6] = [
    RGBColor(0x09, 0x69, 0xda),
    RGBColor(0xbc, 0x4c, 0x00),
    RGBColor(0x1a, 0x7f, 0x37),
    RGBColor(0x82, 0x50, 0xdf),
    RGBColor(0xbf, 0x39, 0x89),
    RGBColor(0x1b, 0x7c, 0x83),
];

impl Ink {
    fn colour(self) -> RGBColor {
        match self {
            Self::Text => RGBColor(0x1f, 0x23, 0x28),
            Self::Muted => RGBColor(0x59, 0x63, 0x6e),
            Self::Grid => RGBColor(0xd1, 0xd9, 0xe0),
            Self::Accent => SERIES[0],
            Self::Limit => RGBColor(0xcf, 0x22, 0x2e),
            Self::Series(index) => SERIES[index % SERIES.len()],
        }
    }

    fn stroke(self, width: f64) -> ShapeStyle {
        self.colour().stroke_width((width * FINE).round() as u32)
    }
}

/// Where a text begins, or ends, or has its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How points of a series are marked, so that colour is not all that tells them apart.
const MARKS: usize = 4;

/// A point in pixels of the page.
pub(super) type Point = (f64, f64);

/// What a figure is drawn on.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Why a figure could not be drawn.
pub(super) type Drawn = Result<(), String>;

/// Draws a figure of that height, which `label` describes to those who do not see it.
///
/// # Errors
/// What plotters says.
pub(super) fn figure(
    height: f64,
    label: &str,
    draw: impl FnOnce(&Canvas<'_>) -> Drawn,
) -> Result<String, String> {
    let mut text = String::new();
    {
        let size = ((WIDTH * FINE) as u32, (height * FINE) as u32);
        let canvas = Canvas { area: SVGBackend::with_string(&mut text, size).into_drawing_area() };
        draw(&canvas)?;
        canvas.area.present().map_err(reason)?;
    }
    let content = text.split_once('>').map_or("", |(_, content)| content);
    let (width, height) = (WIDTH * FINE, height * FINE);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{}\">{}",
        escape(label),
        content.trim_start()
    ))
}

impl Canvas<'_> {
    pub(super) fn line(&self, points: &[Point], ink: Ink, width: f64) -> Drawn {
        self.area.draw(&PathElement::new(fine_all(points), ink.stroke(width))).map_err(reason)
    }

    pub(super) fn dashed(&self, points: &[Point], ink: Ink, width: f64) -> Drawn {
        let (dash, gap) = ((5.0 * FINE) as i32, (3.0 * FINE) as i32);
        let points = fine_all(points);
        self.area.draw(&DashedPathElement::new(points, dash, gap, ink.stroke(width))).map_err(reason)
    }

    pub(super) fn bar(&self, from: Point, to: Point, ink: Ink) -> Drawn {
        self.area.draw(&Rectangle::new([fine(from), fine(to)], ink.colour().filled())).map_err(reason)
    }

    /// A bar through which the page shows: 0 for nothing of the colour, 1 for all of it.
    pub(super) fn shaded_bar(&self, from: Point, to: Point, ink: Ink, shade: f64) -> Drawn {
        let style = ink.colour().mix(shade).filled();
        self.area.draw(&Rectangle::new([fine(from), fine(to)], style)).map_err(reason)
    }

    /// A mark of one of several shapes.
    pub(super) fn mark(&self, (x, y): Point, ink: Ink, shape: usize) -> Drawn {
        let style = ink.colour().filled();
        match shape % MARKS {
            0 => self.area.draw(&Circle::new(fine((x, y)), (3.0 * FINE) as i32, style)),
            1 => self.area.draw(&Rectangle::new([fine((x - 3.0, y - 3.0)), fine((x + 3.0, y + 3.0))], style)),
            2 => {
                let points = [(x, y - 4.0), (x + 4.0, y + 3.0), (x - 4.0, y + 3.0)];
                self.area.draw(&Polygon::new(fine_all(&points), style))
            }
            _ => {
                let points = [(x, y - 4.5), (x + 4.5, y), (x, y + 4.5), (x - 4.5, y)];
                self.area.draw(&Polygon::new(fine_all(&points), style))
            }
        }
        .map_err(reason)
    }

    /// Text, its middle at that height.
    pub(super) fn text(&self, at: Point, anchor: Anchor, ink: Ink, text: &impl Display) -> Drawn {
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // plotters writes sizes divided by 1.24.
        let style = ("sans-serif", LETTERS * FINE * 1.24).into_font().color(&ink.colour());
        let style = style.pos(Pos::new(horizontal, VPos::Center));
        let text = text.to_string();
        self.area.draw_text(&printable(&text), &style, fine(at)).map_err(reason)
    }
}

fn fine((x, y): Point) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

fn fine_all(points: &[Point]) -> Vec<(i32, i32)> {
    points.iter().copied().map(fine).collect()
}

fn reason(error: impl Display) -> String {
    error.to_string()
}

/// Without control characters, which no text on the page has.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn escape(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_described_and_text_is_text() {
        let svg = figure(20.0, "a \"<figure>\" & more", |canvas| {
            canvas.bar((0.0, 0.0), (110.0, 10.0), Ink::Accent)?;
            canvas.dashed(&[(0.0, 5.0), (440.0, 5.0)], Ink::Limit, 1.0)?;
            (0..MARKS).try_for_each(|shape| canvas.mark((5.0, 5.0), Ink::Series(shape), shape))?;
            canvas.text((0.0, 5.0), Anchor::Middle, Ink::Text, &"<b>&\u{1b}")
        })
        .unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("aria-label=\"a &quot;&lt;figure&gt;&quot; &amp; more\""), "{svg}");
        assert!(svg.contains("&lt;b&gt;&amp; ") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("fill=\"#0969DA\"") && svg.contains("text-anchor=\"middle\""), "{svg}");
    }

    /// The style sheet gives each colour another one in the dark.
    #[test]
    fn the_style_sheet_knows_every_colour() {
        let style = include_str!("style.css");
        let series = (0..SERIES.len()).map(Ink::Series);
        for ink in [Ink::Text, Ink::Muted, Ink::Grid, Ink::Accent, Ink::Limit].into_iter().chain(series) {
            let RGBColor(red, green, blue) = ink.colour();
            let name = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
            assert!(style.contains(&format!("[fill={name}]")), "{ink:?}: {name}");
            assert!(style.contains(&format!("[stroke={name}]")), "{ink:?}: {name}");
        }
    }
}
