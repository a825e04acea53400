//! What a figure shows: a column of panels with series of points. How it looks is in `draw.rs`.

/// A drawing with one or more panels.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Heading, and the name for screen readers.
    pub title: String,
    /// One or two sentences on what the figure shows, for screen readers.
    pub description: String,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// Series over a pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Heading; may be empty.
    pub title: String,
    /// What the linear x axis shows, with the unit.
    pub x_label: String,
    /// What the y axis shows, with the unit.
    pub y_label: String,
    /// Of the y axis.
    pub y_scale: Scale,
    /// Where a linear y axis begins and ends; where absent, it covers the data.
    pub y_ends: Option<[f64; 2]>,
    /// Drawn in this order.
    pub series: Vec<Series>,
}

/// How the values of an axis become lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long. Only values above 0 are shown.
    Log,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// x and y. A point that its axes cannot show (not finite; not above 0 on a logarithmic axis) is a gap.
    pub points: Vec<(f64, f64)>,
    /// Index of a colour. There are eight; the ninth is the first again.
    pub colour: usize,
    /// How the line is drawn.
    pub stroke: Stroke,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Without breaks.
    Solid,
    /// In dashes.
    Dashed,
}

impl Scale {
    /// Whether a value has a place on an axis of this scale.
    pub(super) fn shows(self, value: f64) -> bool {
        value.is_finite() && (self == Self::Linear || value > 0.0)
    }
}

impl Panel {
    /// The points of a series, cut at its gaps.
    pub(super) fn runs<'a>(&self, series: &'a Series) -> Vec<&'a [(f64, f64)]> {
        let is_gap = |(x, y): &(f64, f64)| !(Scale::Linear.shows(*x) && self.y_scale.shows(*y));
        series.points.split(is_gap).filter(|run| !run.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_axis_cannot_show_is_a_gap() {
        let points = vec![
            (0.0, 1.0),
            (1.0, 2.0),
            (2.0, f64::NAN),
            (3.0, 1.0),
            (4.0, 0.0),
            (5.0, 1.0),
            (f64::INFINITY, 2.0),
        ];
        let series = Series { name: String::new(), points, colour: 0, stroke: Stroke::Solid };
        let lengths = |y_scale| {
            let (title, x_label, y_label) = (String::new(), String::new(), String::new());
            let panel = Panel { title, x_label, y_label, y_scale, y_ends: None, series: Vec::new() };
            panel.runs(&series).iter().map(|run| run.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(Scale::Linear), [2, 3]);
        assert_eq!(lengths(Scale::Log), [2, 1, 1]);
    }
}
