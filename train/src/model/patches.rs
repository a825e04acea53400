//! Images as rows of patches.

use tch::Tensor;

/// `[N, C, H, W]` to `[N, L, patch²·C]`: patches in raster order, values of a patch in the order row, column, channel
/// (MAE, `patchify`).
pub(crate) fn patchify(images: &Tensor, patch: i64) -> Tensor {
    let size = images.size();
    let (n, channels, rows, columns) = (size[0], size[1], size[2] / patch, size[3] / patch);
    let x = images.reshape([n, channels, rows, patch, columns, patch]);
    x.permute([0, 2, 4, 3, 5, 1]).reshape([n, rows * columns, patch * patch * channels])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_by_row_column_and_channel() {
        // The value is 100·channel + 10·row + column.
        let image: Vec<f32> = (0..2)
            .flat_map(|c| (0..4).flat_map(move |y| (0..4).map(move |x| (100 * c + 10 * y + x) as f32)))
            .collect();
        let patches = patchify(&Tensor::from_slice(&image).reshape([1, 2, 4, 4]), 2);
        assert_eq!(patches.size(), [1, 4, 8]);
        let second = Tensor::from_slice(&[2f32, 102.0, 3.0, 103.0, 12.0, 112.0, 13.0, 113.0]);
        assert_eq!(patches.get(0).get(1), second);
    }
}
