//! Position tables of another grid, resampled as timm does it (`resample_abs_pos_embed`): tokens in front of the patches
//! stay, and the grid goes through PyTorch's bicubic interpolation with antialiasing.

use tch::{Kind, Tensor};

/// What a table of learned or fixed positions is called.
pub(super) const NAME: &str = "pos_embed";

/// A square grid of positions behind 0 or 1 others, for the class token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    prefix: i64,
    pub(super) side: i64,
}

impl Grid {
    /// Of a table `[1, T, D]`.
    pub(super) fn of(shape: &[i64]) -> Option<Self> {
        let &[1, tokens, _] = shape else { return None };
        let with = |prefix: i64| {
            let side = ((tokens - prefix).max(0) as f64).sqrt() as i64;
            (side > 0 && side * side + prefix == tokens).then_some(Self { prefix, side })
        };
        with(0).or_else(|| with(1))
    }

    /// Both grids, where a table of the first shape can be resampled to the second.
    pub(super) fn both(from: &[i64], to: &[i64]) -> Option<[Self; 2]> {
        let grids = [Self::of(from)?, Self::of(to)?];
        (from.last() == to.last() && grids[0].prefix == grids[1].prefix).then_some(grids)
    }
}

/// A table `[1, T, D]` for another grid.
pub(super) fn resample(table: &Tensor, [from, to]: [Grid; 2]) -> Tensor {
    let (table, width) = (table.to_kind(Kind::Float), table.size()[2]);
    let patches = table.narrow(1, from.prefix, from.side * from.side);
    let patches = patches.reshape([1, from.side, from.side, width]).permute([0, 3, 1, 2]);
    let patches = patches.internal_upsample_bicubic2d_aa([to.side, to.side], false, None, None);
    let patches = patches.permute([0, 2, 3, 1]).reshape([1, to.side * to.side, width]);
    Tensor::cat(&[&table.narrow(1, 0, from.prefix), &patches], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_squares_with_or_without_a_class_token() {
        let of = |tokens| Grid::of(&[1, tokens, 8]).map(|grid| (grid.prefix, grid.side));
        assert_eq!([64, 65, 197, 196, 1].map(of), [(0, 8), (1, 8), (1, 14), (0, 14), (0, 1)].map(Some));
        assert_eq!([3, 7, 66, 0].map(of), [None; 4]);
        assert_eq!(Grid::of(&[2, 64, 8]), None);
        assert!(Grid::both(&[1, 65, 8], &[1, 257, 8]).is_some());
        for to in [[1, 256, 8], [1, 257, 9], [1, 66, 8]] {
            assert!(Grid::both(&[1, 65, 8], &to).is_none(), "{to:?}");
        }
    }

    /// Rows of a 2 × 2 grid to 4 × 4: bicubic weights (a = −0.5) at distances of a quarter, by hand.
    #[test]
    fn a_grid_is_interpolated_and_the_class_token_stays() {
        let table = Tensor::from_slice(&[9f32, 0.0, 0.0, 1.0, 1.0]).reshape([1, 5, 1]);
        let grids = Grid::both(&[1, 5, 1], &[1, 17, 1]).unwrap();
        let found = Vec::<f32>::try_from(resample(&table, grids).flatten(0, -1)).unwrap();
        assert_eq!((found.len(), found[0]), (17, 9.0));
        // w(x) = 1.5x³ − 2.5x² + 1 below 1 and −0.5x³ + 2.5x² − 4x + 2 below 2; outside the grid there is nothing, and
        // the weights are scaled to sum to 1. Row 1 lies at 0.25 of the way from row 0 to row 1 of the small grid.
        let near = |x: f64| 1.5 * x.powi(3) - 2.5 * x * x + 1.0;
        let far = |x: f64| -0.5 * x.powi(3) + 2.5 * x * x - 4.0 * x + 2.0;
        let edge = far(1.25) / (near(0.25) + far(1.25));
        let inner = near(0.75) / (near(0.25) + near(0.75));
        for (row, wanted) in [edge, inner, 1.0 - inner, 1.0 - edge].into_iter().enumerate() {
            for column in 0..4 {
                let found = f64::from(found[1 + 4 * row + column]);
                assert!((found - wanted).abs() < 1e-6, "row {row}: {found} for {wanted}");
            }
        }
    }

    #[test]
    fn the_same_grid_is_left_alone() {
        let table = Tensor::arange(34, (Kind::Float, tch::Device::Cpu)).reshape([1, 17, 2]);
        let grids = Grid::both(&[1, 17, 2], &[1, 17, 2]).unwrap();
        assert!(resample(&table, grids).allclose(&table, 1e-6, 1e-6, false));
    }
}
