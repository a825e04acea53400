//! Which input pixels each output pixel is a sum over, found once for all images.

use std::ops::Range;

/// One axis of a convolution.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Axis {
    /// Pixels of the input.
    pub(in crate::session) input: usize,
    /// Pixels of the output.
    pub(in crate::session) output: usize,
    /// Taps.
    pub(in crate::session) kernel: usize,
    /// Pixels from window to window.
    pub(in crate::session) stride: usize,
    /// Pixels from tap to tap.
    pub(in crate::session) dilation: usize,
    /// Pixels added before the first.
    pub(in crate::session) begin: usize,
}

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Geometry {
    /// Channels of the input.
    pub(in crate::session) channels: usize,
    /// Channels of the output.
    pub(in crate::session) outputs: usize,
    /// The vertical axis.
    pub(in crate::session) rows: Axis,
    /// The horizontal axis.
    pub(in crate::session) columns: Axis,
    /// Whether windows are of the output: the transposed convolution, which is the gradient of the other.
    pub(in crate::session) transposed: bool,
}

/// One product of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    /// Its weight, among those of a channel.
    pub(super) weight: usize,
    /// Its pixel in the plane of a channel, for the first position of the run.
    pub(super) pixel: usize,
}

/// Output pixels of one row, the windows of which have the same taps, each a step further on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The first output pixel in its plane.
    pub(super) output: usize,
    /// Pixels to the next.
    pub(super) output_step: usize,
    /// How many there are.
    pub(super) count: usize,
    /// Input pixels to the next window.
    pub(super) input_step: usize,
    /// The taps of all, in [`Windows::taps`].
    pub(super) taps: Range<usize>,
}

/// The windows of all output pixels.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) runs: Vec<Run>,
    pub(super) taps: Vec<Tap>,
}

/// Pixels in a line whose windows have the same taps.
struct LineRun {
    output: usize,
    count: usize,
    /// Taps of the first, and the pixels that they are of.
    taps: Vec<(usize, usize)>,
}

impl Axis {
    /// The taps of an output pixel that lie inside, and the pixels that they are of.
    fn taps(&self, output: usize, transposed: bool) -> Vec<(usize, usize)> {
        let inside = |tap: usize| {
            let pixel = if transposed {
                let from = (output + self.begin).checked_sub(tap * self.dilation)?;
                from.is_multiple_of(self.stride).then_some(from / self.stride)?
            } else {
                (output * self.stride + tap * self.dilation).checked_sub(self.begin)?
            };
            (pixel < self.input).then_some((tap, pixel))
        };
        (0..self.kernel).filter_map(inside).collect()
    }

    /// Output pixels to the next with the same taps, and the input pixels between their windows.
    fn steps(&self, transposed: bool) -> [usize; 2] {
        if transposed { [self.stride, 1] } else { [1, self.stride] }
    }

    /// All output pixels, in runs.
    fn runs(&self, transposed: bool) -> Vec<LineRun> {
        let [output_step, input_step] = self.steps(transposed);
        let mut runs: Vec<LineRun> = Vec::new();
        for phase in 0..output_step.min(self.output) {
            let mut begins = true;
            for output in (phase..self.output).step_by(output_step) {
                let taps = self.taps(output, transposed);
                match runs.last_mut().filter(|run| !begins && continues(run, &taps, input_step)) {
                    Some(run) => run.count += 1,
                    None => runs.push(LineRun { output, count: 1, taps }),
                }
                begins = false;
            }
        }
        runs
    }
}

/// Whether a window has the taps of the run, as many steps further on as it has positions.
fn continues(run: &LineRun, taps: &[(usize, usize)], input_step: usize) -> bool {
    let moved = run.taps.iter().map(|(tap, pixel)| (*tap, pixel + run.count * input_step));
    moved.eq(taps.iter().copied())
}

impl Windows {
    /// `None` where a size is zero.
    pub(super) fn new(geometry: &Geometry) -> Option<Self> {
        let Geometry { rows, columns, transposed, .. } = geometry;
        let is_empty =
            |axis: &Axis| axis.input * axis.output * axis.kernel * axis.stride * axis.dilation == 0;
        if is_empty(rows) || is_empty(columns) || geometry.channels * geometry.outputs == 0 {
            return None;
        }
        let lines = columns.runs(*transposed);
        let [output_step, input_step] = columns.steps(*transposed);
        let (mut runs, mut taps) = (Vec::new(), Vec::new());
        for row in 0..rows.output {
            let vertical = rows.taps(row, *transposed);
            for line in &lines {
                let first = taps.len();
                taps.extend(vertical.iter().flat_map(|(row_tap, row)| {
                    line.taps.iter().map(move |(tap, column)| Tap {
                        weight: row_tap * columns.kernel + tap,
                        pixel: row * columns.input + column,
                    })
                }));
                runs.push(Run {
                    output: row * columns.output + line.output,
                    output_step,
                    count: line.count,
                    input_step,
                    taps: first..taps.len(),
                });
            }
        }
        Some(Self { runs, taps })
    }
}
