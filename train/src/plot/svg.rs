//! The few elements of SVG that charts need, as text.

use std::fmt::Write as _;

/// Where a text is held.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    /// At its begin.
    Start,
    /// At its middle.
    Middle,
    /// At its end.
    End,
}

/// A drawing under construction.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (number(from.0), number(from.1), number(to.0), number(to.1));
        self.push(format_args!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#));
    }

    pub(super) fn rectangle(&mut self, class: &str, corner: (f64, f64), size: (f64, f64)) {
        let (x, y, width, height) = (number(corner.0), number(corner.1), number(size.0), number(size.1));
        self.push(format_args!(
            r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#
        ));
    }

    pub(super) fn circle(&mut self, class: &str, centre: (f64, f64), radius: f64) {
        let (x, y, r) = (number(centre.0), number(centre.1), number(radius));
        self.push(format_args!(r#"<circle class="{class}" cx="{x}" cy="{y}" r="{r}"/>"#));
    }

    pub(super) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let (x, y) = (number(at.0), number(at.1));
        self.anchored(class, &format!(r#"x="{x}" y="{y}""#), anchor, text);
    }

    /// A text that reads upwards.
    pub(super) fn upward_text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let (x, y) = (number(at.0), number(at.1));
        self.anchored(class, &format!(r#"transform="translate({x} {y}) rotate(-90)""#), anchor, text);
    }

    fn anchored(&mut self, class: &str, place: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.push(format_args!(r#"<text class="{class}" {place} text-anchor="{anchor}">{text}</text>"#));
    }

    /// Lines through each run of points.
    pub(super) fn path(&mut self, class: &str, runs: &[Vec<(f64, f64)>]) {
        let mut data = String::new();
        for run in runs {
            for (index, &(x, y)) in run.iter().enumerate() {
                data.push(if index == 0 { 'M' } else { 'L' });
                data.push_str(&format!("{} {}", number(x), number(y)));
            }
        }
        self.push(format_args!(r#"<path class="{class}" d="{data}"/>"#));
    }

    /// What `draw` draws, under a name that pointers and screen readers find.
    pub(super) fn group(&mut self, name: &str, draw: impl FnOnce(&mut Self)) {
        self.push(format_args!("<g><title>{}</title>", escape(name)));
        draw(self);
        self.push(format_args!("</g>"));
    }

    /// The file, of `width` by `height` pixels.
    pub(super) fn finish(self, size: (f64, f64), title: &str, description: &str, style: &str) -> String {
        let (width, height) = (number(size.0), number(size.1));
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" "#,
                r#"viewBox="0 0 {width} {height}" role="img" aria-labelledby="title description">"#,
                "\n<title id=\"title\">{title}</title>\n<desc id=\"description\">{description}</desc>\n",
                "<style>\n{style}</style>\n{body}</svg>\n"
            ),
            width = width,
            height = height,
            title = escape(title),
            description = escape(description),
            style = style,
            body = self.body
        )
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// A coordinate to a hundredth of a pixel.
fn number(value: f64) -> String {
    // Adding 0 makes −0 plain.
    ((value * 100.0).round() / 100.0 + 0.0).to_string()
}

/// Text as XML takes it. Characters that XML has no place for become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_everywhere() {
        let evil = "<script>&\"'\u{1}";
        let mut svg = Svg::default();
        svg.group(evil, |svg| {
            svg.text("ink", (0.0, 0.0), Anchor::Start, evil);
            svg.upward_text("ink", (0.0, 0.0), Anchor::End, evil);
        });
        let file = svg.finish((1.0, 1.0), evil, evil, "");
        assert_eq!(file.matches("&lt;script&gt;&amp;&quot;&#39;\u{fffd}").count(), 5);
        assert!(!file.contains("<script"));
    }

    #[test]
    fn numbers_are_short() {
        for (value, wanted) in [(1.0, "1"), (-0.001, "0"), (12.345_6, "12.35"), (-2.5, "-2.5")] {
            assert_eq!(number(value), wanted);
        }
    }
}
