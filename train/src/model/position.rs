//! Fixed two-dimensional sine and cosine positions (MAE, `pos_embed.py`).

use tch::{Kind, Tensor};

/// Positions of a `rows` × `columns` grid, `[1, rows·columns, width]`.
///
/// The first half of the width encodes the column, the second the row; inside a half come all sines and then all
/// cosines, with frequencies 10000^(−i/(width/4)). `width` must be a multiple of 4.
pub(super) fn sin_cos(rows: i64, columns: i64, width: i64) -> Tensor {
    let mut table = Vec::with_capacity((rows * columns * width) as usize);
    for row in 0..rows {
        for column in 0..columns {
            encode(column, width / 4, &mut table);
            encode(row, width / 4, &mut table);
        }
    }
    Tensor::from_slice(&table).to_kind(Kind::Float).reshape([1, rows * columns, width])
}

/// The same with a row of zeros in front for the class token, `[1, 1 + rows·columns, width]`.
pub(super) fn sin_cos_with_class_token(rows: i64, columns: i64, width: i64) -> Tensor {
    let patches = sin_cos(rows, columns, width);
    Tensor::cat(&[&Tensor::zeros([1, 1, width], (Kind::Float, patches.device())), &patches], 1)
}

fn encode(position: i64, frequencies: i64, table: &mut Vec<f64>) {
    let angle = |i: i64| position as f64 * 10_000f64.powf(-(i as f64) / frequencies as f64);
    table.extend((0..frequencies).map(|i| angle(i).sin()));
    table.extend((0..frequencies).map(|i| angle(i).cos()));
}
