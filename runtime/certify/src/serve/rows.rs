//! How images become calls of an engine.

use std::ops::Range;

/// How many rows a call of the engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Any number up to this.
    UpTo(usize),
    /// This number.
    Exactly(usize),
}

impl Rows {
    /// The most rows of a call.
    pub(super) fn most(self) -> usize {
        match self {
            Self::UpTo(rows) | Self::Exactly(rows) => rows,
        }
    }

    /// The parts of `images` that a call takes, in their order.
    pub(super) fn parts(self, images: usize) -> impl Iterator<Item = Range<usize>> {
        let most = self.most();
        (0..images.div_ceil(most)).map(move |part| part * most..((part + 1) * most).min(images))
    }

    /// Whether a part lacks rows.
    pub(super) fn lacks(self, rows: usize) -> bool {
        matches!(self, Self::Exactly(wanted) if rows < wanted)
    }
}

/// Buffers of a full call, for a part that lacks rows.
#[derive(Debug, Default)]
pub(super) struct Padding {
    pub(super) images: Vec<f32>,
    pub(super) outputs: Vec<f32>,
}

impl Padding {
    /// The images of a part, and its last image again until there are `rows`; and room for as many outputs.
    pub(super) fn fill(&mut self, part: &[f32], pixels: usize, rows: usize, outputs: usize) {
        self.images.clear();
        self.images.reserve_exact(rows * pixels);
        self.images.extend_from_slice(part);
        let last = &part[part.len() - pixels..];
        while self.images.len() < rows * pixels {
            self.images.extend_from_slice(last);
        }
        self.outputs.clear();
        self.outputs.resize(rows * outputs, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_images_in_order() {
        let parts: Vec<_> = Rows::UpTo(4).parts(9).collect();
        assert_eq!(parts, [0..4, 4..8, 8..9]);
        assert_eq!(Rows::Exactly(4).parts(8).collect::<Vec<_>>(), [0..4, 4..8]);
        assert!(Rows::Exactly(4).lacks(1) && !Rows::Exactly(4).lacks(4) && !Rows::UpTo(4).lacks(1));
    }

    #[test]
    fn missing_rows_are_the_last_one() {
        let mut padding = Padding::default();
        padding.fill(&[1.0, 2.0, 3.0, 4.0], 2, 4, 3);
        assert_eq!(padding.images, [1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0]);
        assert_eq!(padding.outputs.len(), 12);
    }
}
