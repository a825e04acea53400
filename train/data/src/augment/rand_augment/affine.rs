//! Rotation, shear and translation: Pillow's `transform(AFFINE)` and `rotate` (`Geometry.c`), byte for byte.

use crate::picture::Picture;

/// Interpolation between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Bilinear,
    Bicubic,
}

/// The picture whose pixel at `(x, y)` is the input at `(a x + b y + c, d x + e y + f)`; `fill` outside of it.
pub(super) fn transform(picture: &Picture, matrix: [f64; 6], filter: Filter, fill: u8) -> Picture {
    let (width, height, channels) = picture.shape();
    let [a, b, c, d, e, f] = matrix;
    let mut bytes = Vec::with_capacity(width * height * channels);
    for row in 0..height {
        let y = row as f64 + 0.5;
        for column in 0..width {
            let x = column as f64 + 0.5;
            let (from_x, from_y) = (a * x + b * y + c, d * x + e * y + f);
            let inside = (0.0..width as f64).contains(&from_x) && (0.0..height as f64).contains(&from_y);
            if inside {
                let point = SamplingPoint::new(picture, from_x, from_y);
                bytes.extend((0..channels).map(|channel| point.value(filter, channel)));
            } else {
                bytes.extend(std::iter::repeat_n(fill, channels));
            }
        }
    }
    picture.with_bytes(bytes)
}

/// Rotates counter-clockwise around the centre; what leaves the picture is lost. Angles are less than a quarter turn.
pub(super) fn rotate(picture: &Picture, degrees: f64, filter: Filter, fill: u8) -> Picture {
    // Pillow reduces an angle to [0, 360), and copies for an angle of nothing.
    let degrees = degrees - (degrees / 360.0).floor() * 360.0;
    if degrees == 0.0 {
        return picture.clone();
    }
    let angle = -degrees.to_radians();
    let (cos, sin) = (decimals(libm::cos(angle)), decimals(libm::sin(angle)));
    let minus_sin = decimals(-libm::sin(angle));
    let (x, y) = (picture.width() as f64 / 2.0, picture.height() as f64 / 2.0);
    let c = cos * -x + sin * -y + 0.0 + x;
    let f = minus_sin * -x + cos * -y + 0.0 + y;
    transform(picture, [cos, sin, c, minus_sin, cos, f], filter, fill)
}

/// Python's `round(value, 15)`.
fn decimals(value: f64) -> f64 {
    format!("{value:.15}").parse().unwrap_or(value)
}

/// A point inside a picture: the pixel up and left of it, and the distance from there.
struct SamplingPoint<'a> {
    picture: &'a Picture,
    column: isize,
    row: isize,
    right: f64,
    down: f64,
}

impl<'a> SamplingPoint<'a> {
    fn new(picture: &'a Picture, x: f64, y: f64) -> Self {
        // Pixels have their values in their middles.
        let (x, y) = (x - 0.5, y - 0.5);
        let (column, row) = (x.floor(), y.floor());
        Self { picture, column: column as isize, row: row as isize, right: x - column, down: y - row }
    }

    fn value(&self, filter: Filter, channel: usize) -> u8 {
        let value = match filter {
            Filter::Bilinear => {
                let above = self.in_row(self.row, |row| self.linear(row, channel));
                let below = self.row_below(1, above, |row| self.linear(row, channel));
                linear(above, below, self.down)
            }
            Filter::Bicubic => {
                let first = self.in_row(self.row - 1, |row| self.cubic(row, channel));
                let second = self.row_below(0, first, |row| self.cubic(row, channel));
                let third = self.row_below(1, second, |row| self.cubic(row, channel));
                let fourth = self.row_below(2, third, |row| self.cubic(row, channel));
                cubic([first, second, third, fourth], self.down)
            }
        };
        // The cast truncates and cuts to 0..=255.
        value as u8
    }

    /// The value in a row, or in the nearest one of the picture.
    fn in_row(&self, row: isize, value: impl Fn(usize) -> f64) -> f64 {
        value(row.clamp(0, self.picture.height() as isize - 1) as usize)
    }

    /// The value `rows` rows below; `otherwise` outside of the picture.
    fn row_below(&self, rows: isize, otherwise: f64, value: impl Fn(usize) -> f64) -> f64 {
        match usize::try_from(self.row + rows) {
            Ok(row) if row < self.picture.height() => value(row),
            _ => otherwise,
        }
    }

    /// A pixel of a row; columns outside take the nearest one.
    fn pixel(&self, row: usize, columns: isize, channel: usize) -> f64 {
        let last = self.picture.width() as isize - 1;
        let column = (self.column + columns).clamp(0, last) as usize;
        f64::from(self.picture.row(row)[column * self.picture.channels() + channel])
    }

    fn linear(&self, row: usize, channel: usize) -> f64 {
        linear(self.pixel(row, 0, channel), self.pixel(row, 1, channel), self.right)
    }

    fn cubic(&self, row: usize, channel: usize) -> f64 {
        cubic([-1, 0, 1, 2].map(|columns| self.pixel(row, columns, channel)), self.right)
    }
}

fn linear(first: f64, second: f64, distance: f64) -> f64 {
    first + (second - first) * distance
}

/// Cubic convolution with `a = -1`, which is Pillow's for moved pixels (its resizing has -1/2).
fn cubic([first, second, third, fourth]: [f64; 4], distance: f64) -> f64 {
    let slope = -first + third;
    let square = 2.0 * (first - second) + third - fourth;
    let cube = -first + second - third + fourth;
    second + distance * (slope + distance * (square + distance * cube))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [Filter; 2] = [Filter::Bilinear, Filter::Bicubic];

    #[test]
    fn moving_by_whole_pixels_only_moves() {
        let picture =
            Picture::from_fn((6, 5, 3), |row, column, channel| (50 * row + 7 * column + channel) as u8);
        for filter in FILTERS {
            let found = transform(&picture, [1.0, 0.0, 2.0, 0.0, 1.0, -1.0], filter, 9);
            let wanted = Picture::from_fn((6, 5, 3), |row, column, channel| {
                let inside = row >= 1 && column + 2 < 6;
                if inside { picture.row(row - 1)[(column + 2) * 3 + channel] } else { 9 }
            });
            assert!(found == wanted, "{filter:?}");
        }
    }

    #[test]
    fn a_turn_there_and_back_meets_in_the_middle() {
        let picture = Picture::from_fn((21, 21, 1), |row, column, _| (6 * row + 5 * column) as u8);
        for filter in FILTERS {
            let back = rotate(&rotate(&picture, 20.0, filter, 0), -20.0, filter, 0);
            let (found, wanted) = (back.row(10)[10], picture.row(10)[10]);
            // A plane is interpolated exactly; each turn truncates once.
            assert!(wanted - found <= 2, "{filter:?}: {found} {wanted}");
        }
    }
}
