//! The gradient of MaxPool.

use multiversion::multiversion;

/// One spatial axis: window `o` covers the elements `stride·o + dilation·k − begin` for `k` below `kernel`.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct PoolAxis {
    /// Elements of the image.
    pub input: usize,
    /// Number of windows.
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Padding before the first element.
    pub begin: usize,
}

impl PoolAxis {
    /// The windows whose element `k` lies in the image: the first, the last and one more, and where that of the first
    /// lies.
    fn inside(&self, k: usize) -> Offset {
        let shift = self.dilation * k;
        let from = self.begin.saturating_sub(shift).div_ceil(self.stride);
        let beyond = (self.input + self.begin).saturating_sub(shift).div_ceil(self.stride);
        let to = beyond.min(self.output);
        Offset { from, to: to.max(from), start: (from * self.stride + shift).saturating_sub(self.begin) }
    }
}

/// One element of the windows along the last axis: windows `from..to` have it in the image, the first of them at
/// `start`.
#[derive(Debug, Clone, Copy)]
struct Offset {
    from: usize,
    to: usize,
    start: usize,
}

/// Where the windows over one channel of an image lie.
#[derive(Debug)]
pub(in crate::session) struct PoolWindows {
    /// For each row of windows, where the rows of the image start that they read, in row-major order.
    rows: Vec<Vec<usize>>,
    /// The elements along the last axis.
    offsets: Vec<Offset>,
    /// Along the last axis.
    stride: usize,
    /// Windows along the last axis.
    width: usize,
    /// Elements of a channel.
    input: usize,
}

impl PoolWindows {
    /// `None` when there is no axis, a size is zero, or a channel has more than [`u32::MAX`] elements.
    pub(in crate::session) fn new(axes: &[PoolAxis]) -> Option<Self> {
        let (last, outer) = axes.split_last()?;
        let sizes = |axis: &PoolAxis| [axis.input, axis.output, axis.kernel, axis.stride, axis.dilation];
        if axes.iter().any(|axis| sizes(axis).contains(&0)) {
            return None;
        }
        let input = axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(axis.input))?;
        u32::try_from(input).ok()?;
        let offsets: Vec<Offset> = (0..last.kernel).map(|k| last.inside(k)).collect();
        let rows = outer.iter().fold(vec![vec![0]], |rows, axis| {
            rows.iter().flat_map(|starts| (0..axis.output).map(|o| read(axis, o, starts))).collect()
        });
        let rows = rows.into_iter().map(|starts| starts.iter().map(|start| start * last.input).collect());
        Some(Self { rows: rows.collect(), offsets, stride: last.stride, width: last.output, input })
    }

    /// Elements of a channel of the image.
    pub(in crate::session) fn input(&self) -> usize {
        self.input
    }

    /// Windows over a channel.
    pub(in crate::session) fn output(&self) -> usize {
        self.rows.len() * self.width
    }
}

/// Numbers of the rows that window `o` of one more axis reads, where `starts` are those of the axes before it.
fn read(axis: &PoolAxis, o: usize, starts: &[usize]) -> Vec<usize> {
    let at = |k: usize| (axis.stride * o + axis.dilation * k).checked_sub(axis.begin);
    let inside: Vec<usize> = (0..axis.kernel).filter_map(at).filter(|at| *at < axis.input).collect();
    starts.iter().flat_map(|start| inside.iter().map(move |at| start * axis.input + at)).collect()
}

/// No element: of a window that lies in the padding.
const NOWHERE: u32 = u32::MAX;

/// Sends each `g` to the first element of its window that is not less than `y`, channel by channel: `x` and `dx` have
/// [`PoolWindows::input`] elements for each, `y` and `g` [`PoolWindows::output`].
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(in crate::session) fn max_pool_gradient(
    windows: &PoolWindows,
    x: &[f32],
    y: &[f32],
    g: &[f32],
    dx: &mut [f32],
) {
    let mut places = vec![NOWHERE; windows.width];
    let channels = x.chunks_exact(windows.input).zip(dx.chunks_exact_mut(windows.input));
    let outputs = y.chunks_exact(windows.output()).zip(g.chunks_exact(windows.output()));
    for ((x, dx), (y, g)) in channels.zip(outputs) {
        dx.fill(0.0);
        let rows = y.chunks_exact(windows.width).zip(g.chunks_exact(windows.width));
        for (starts, (y, g)) in windows.rows.iter().zip(rows) {
            places.fill(NOWHERE);
            // From the last element to the first, so that the first that qualifies stays.
            for start in starts.iter().rev() {
                for offset in windows.offsets.iter().rev() {
                    let (y, places) = (&y[offset.from..offset.to], &mut places[offset.from..offset.to]);
                    let start = start + offset.start;
                    match windows.stride {
                        1 => mark::<1>(&x[start..], y, start, places),
                        2 => mark::<2>(&x[start..], y, start, places),
                        stride => mark_each(&x[start..], y, start, stride, places),
                    }
                }
            }
            for (g, place) in g.iter().zip(&places) {
                if let Some(dx) = dx.get_mut(*place as usize) {
                    *dx += g;
                }
            }
        }
    }
}

/// Notes the elements that are not less than `y`, which lie `STRIDE` apart from `start` on: a stride that the compiler
/// knows, so that it can compare many at once.
#[inline(always)]
fn mark<const STRIDE: usize>(x: &[f32], y: &[f32], start: usize, places: &mut [u32]) {
    let (groups, _) = x.as_chunks::<STRIDE>();
    let whole = groups.len().min(y.len());
    for (index, ((x, y), place)) in groups[..whole].iter().zip(y).zip(&mut *places).enumerate() {
        let at = (start + index * STRIDE) as u32;
        *place = if x[0] < *y { *place } else { at };
    }
    // The last element may lie where no whole group is left.
    mark_each(
        x.get(whole * STRIDE..).unwrap_or_default(),
        &y[whole..],
        start + whole * STRIDE,
        STRIDE,
        &mut places[whole..],
    );
}

#[inline(always)]
fn mark_each(x: &[f32], y: &[f32], start: usize, stride: usize, places: &mut [u32]) {
    let elements = x.iter().step_by(stride);
    for (index, ((x, y), place)) in elements.zip(y).zip(places).enumerate() {
        *place = if x < y { *place } else { (start + index * stride) as u32 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: PoolAxis = PoolAxis { input: 5, output: 3, kernel: 3, stride: 2, dilation: 1, begin: 1 };

    /// The first maximum of each window, element by element.
    fn expected(axes: &[PoolAxis; 2], x: &[f32], y: &[f32], g: &[f32]) -> Vec<f32> {
        let [rows, columns] = axes;
        let mut dx = vec![0.0; x.len()];
        for (window, (y, g)) in y.iter().zip(g).enumerate() {
            let (top, left) = (window / columns.output, window % columns.output);
            let at = |axis: &PoolAxis, o: usize, k: usize| {
                (axis.stride * o + axis.dilation * k).checked_sub(axis.begin).filter(|at| *at < axis.input)
            };
            let mut elements = (0..rows.kernel)
                .flat_map(|k| (0..columns.kernel).map(move |l| (k, l)))
                .filter_map(|(k, l)| Some(at(rows, top, k)? * columns.input + at(columns, left, l)?));
            if let Some(place) = elements.find(|place| x[*place] == *y) {
                dx[place] += g;
            }
        }
        dx
    }

    fn pooled(axes: &[PoolAxis; 2], x: &[f32]) -> Vec<f32> {
        let [rows, columns] = axes;
        let mut y = vec![f32::NEG_INFINITY; rows.output * columns.output];
        for (window, y) in y.iter_mut().enumerate() {
            for k in 0..rows.kernel * columns.kernel {
                let row = rows.stride * (window / columns.output) + rows.dilation * (k / columns.kernel);
                let column =
                    columns.stride * (window % columns.output) + columns.dilation * (k % columns.kernel);
                let inside =
                    |at: usize, axis: &PoolAxis| at.checked_sub(axis.begin).filter(|at| *at < axis.input);
                if let (Some(row), Some(column)) = (inside(row, rows), inside(column, columns)) {
                    *y = y.max(x[row * columns.input + column]);
                }
            }
        }
        y
    }

    #[test]
    fn the_first_maximum_gets_all_for_every_stride_and_padding() {
        let axes = [
            PLAIN,
            PoolAxis { stride: 1, output: 5, ..PLAIN },
            PoolAxis { stride: 3, output: 2, begin: 0, ..PLAIN },
            PoolAxis { kernel: 2, output: 2, begin: 0, ..PLAIN },
            PoolAxis { kernel: 2, dilation: 3, stride: 1, output: 2, begin: 0, ..PLAIN },
            PoolAxis { input: 40, output: 20, ..PLAIN },
            // The last window hangs over the end.
            PoolAxis { input: 6, output: 4, ..PLAIN },
        ];
        for rows in axes {
            for columns in axes {
                let axes = [rows, columns];
                let windows = PoolWindows::new(&axes).unwrap();
                // Few different numbers, so that maxima are equal; two channels.
                let x: Vec<f32> = (0..2 * windows.input()).map(|index| ((index * 7919) % 5) as f32).collect();
                let y: Vec<f32> = x.chunks(windows.input()).flat_map(|x| pooled(&axes, x)).collect();
                let g: Vec<f32> = (0..y.len()).map(|index| index as f32 + 1.0).collect();
                let mut dx = vec![f32::NAN; x.len()];
                max_pool_gradient(&windows, &x, &y, &g, &mut dx);
                for channel in 0..2 {
                    let input = channel * windows.input()..(channel + 1) * windows.input();
                    let output = channel * windows.output()..(channel + 1) * windows.output();
                    let wanted = expected(&axes, &x[input.clone()], &y[output.clone()], &g[output]);
                    assert_eq!(dx[input], wanted, "{axes:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_not_lost() {
        let axis = PoolAxis { input: 2, output: 1, kernel: 2, stride: 2, dilation: 1, begin: 0 };
        let windows = PoolWindows::new(&[axis]).unwrap();
        let mut dx = [0.0; 2];
        max_pool_gradient(&windows, &[1.0, f32::NAN], &[f32::NAN], &[3.0], &mut dx);
        assert_eq!(dx, [3.0, 0.0]);
    }

    #[test]
    fn windows_without_elements_are_refused() {
        assert!(PoolWindows::new(&[]).is_none());
        assert!(PoolWindows::new(&[PoolAxis { stride: 0, ..PLAIN }]).is_none());
        assert!(PoolWindows::new(&[PLAIN; 14]).is_none());
    }
}
