//! Attention of few tokens, and its gradient: products that are too small for a matrix library.
//!
//! A head of an image is computed at once, so that everything stays in the fastest cache. The scores of a query are the
//! lanes of vectors: keys and values are transposed first, and a row of scores is padded to whole vectors.

use super::product::{Left, Product, Rows};
use super::simd::{Instructions, LANES, Lanes, Simd, Work, exponential};

/// Sizes of the attention of an image.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Heads {
    /// Number of heads.
    pub(in crate::session) heads: usize,
    /// Numbers of a head in a row.
    pub(in crate::session) width: usize,
    /// Tokens that ask.
    pub(in crate::session) queries: usize,
    /// Tokens that are asked.
    pub(in crate::session) keys: usize,
}

impl Heads {
    /// Width of all heads.
    fn columns(self) -> usize {
        self.heads * self.width
    }

    /// Probabilities of a query in one head, with those that fill the last vector.
    fn padded(self) -> usize {
        self.keys.next_multiple_of(LANES)
    }

    /// Numbers of an image in queries, averages and their gradients.
    pub(in crate::session) fn of_queries(self) -> usize {
        self.queries * self.columns()
    }

    /// Numbers of an image in keys or in values.
    pub(in crate::session) fn of_keys(self) -> usize {
        self.keys * self.columns()
    }

    /// Probabilities of an image.
    pub(in crate::session) fn of_probabilities(self) -> usize {
        self.queries * self.heads * self.padded()
    }
}

/// Rows of queries, keys and values of some images, or their gradients.
#[derive(Debug)]
pub(in crate::session) enum Tokens<T> {
    /// Query, key and value of a token in one row.
    Packed(T),
    /// Queries; and keys and values in one row.
    Apart(T, T),
}

impl<'a> Tokens<&'a [f32]> {
    /// Queries, keys and values of one image.
    #[inline(always)]
    fn image(&self, heads: Heads, image: usize) -> [Rows<'a>; 3] {
        let columns = heads.columns();
        match self {
            Self::Packed(all) => {
                let size = 3 * heads.of_queries();
                let rows = Rows { data: &all[image * size..][..size], stride: 3 * columns };
                [rows, rows.from(columns), rows.from(2 * columns)]
            }
            Self::Apart(queries, others) => {
                let (size, both) = (heads.of_queries(), 2 * heads.of_keys());
                let queries = Rows { data: &queries[image * size..][..size], stride: columns };
                let others = Rows { data: &others[image * both..][..both], stride: 2 * columns };
                [queries, others, others.from(columns)]
            }
        }
    }
}

/// Averages of values, `softmax(q·kᵀ)·v`, for each head of each image; and the probabilities, unless nobody wants them
/// and the slice is empty. Sizes are those of [`mimir_bundle::kernels::ATTENTION`]. Probabilities that would be
/// denormal numbers are flushed to zero.
pub(in crate::session) fn attention(
    heads: Heads,
    tokens: &Tokens<&[f32]>,
    averages: &mut [f32],
    probabilities: &mut [f32],
) {
    Instructions::best().run(Attention { heads, tokens, averages, probabilities });
}

/// The gradient of [`attention`] by its inputs, from that by the averages.
pub(in crate::session) fn attention_gradient(
    heads: Heads,
    g: &[f32],
    probabilities: &[f32],
    tokens: &Tokens<&[f32]>,
    gradients: &mut Tokens<&mut [f32]>,
) {
    Instructions::best().run(AttentionGradient { heads, g, probabilities, tokens, gradients });
}

struct Attention<'a, 'b> {
    heads: Heads,
    tokens: &'a Tokens<&'b [f32]>,
    averages: &'a mut [f32],
    probabilities: &'a mut [f32],
}

impl Work for Attention<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let heads = self.heads;
        let mut scratch = Scratch::new(heads);
        let mut probabilities = self.probabilities.chunks_exact_mut(heads.of_probabilities());
        for (image, averages) in self.averages.chunks_exact_mut(heads.of_queries()).enumerate() {
            let kept = probabilities.next().unwrap_or_default();
            let [q, k, v] = self.tokens.image(heads, image);
            for head in 0..heads.heads {
                let column = head * heads.width;
                scratch.score(simd, heads, q.from(column), k.from(column));
                for (query, scores) in scratch.scores.chunks_exact_mut(heads.padded()).enumerate() {
                    softmax(simd, scores, &scratch.mask);
                    let place = (query * heads.heads + head) * heads.padded();
                    if let Some(kept) = kept.get_mut(place..place + heads.padded()) {
                        copy(simd, scores, kept);
                    }
                }
                simd.call(Product {
                    left: Left::AsItIs(Rows { data: &scratch.scores, stride: heads.padded() }),
                    right: v.from(column),
                    rows: heads.queries,
                    inner: heads.keys,
                    columns: heads.width,
                    result: &mut averages[column..],
                    stride: heads.columns(),
                });
            }
        }
    }
}

/// What a head needs.
struct Scratch {
    /// Keys or values, a token in each column, padded with zeros.
    transposed: Vec<f32>,
    /// A row for each query.
    scores: Vec<f32>,
    /// What is added to the last scores of a row: −∞ where there is no key.
    mask: Lanes,
}

impl Scratch {
    fn new(heads: Heads) -> Self {
        let mut mask = [0.0; LANES];
        mask[LANES - (heads.padded() - heads.keys)..].fill(f32::NEG_INFINITY);
        let transposed = vec![0.0; heads.padded() * heads.width];
        Self { transposed, scores: vec![0.0; heads.padded() * heads.queries], mask }
    }

    /// Products of each of `left` with each of `right`, in one head.
    #[inline(always)]
    fn score<S: Simd>(&mut self, simd: S, heads: Heads, left: Rows, right: Rows) {
        let padded = heads.padded();
        for key in 0..heads.keys {
            let row = &right.data[key * right.stride..][..heads.width];
            for (number, column) in row.iter().zip(self.transposed.chunks_exact_mut(padded)) {
                column[key] = *number;
            }
        }
        simd.call(Product {
            left: Left::AsItIs(left),
            right: Rows { data: &self.transposed, stride: padded },
            rows: heads.queries,
            inner: heads.width,
            columns: padded,
            result: &mut self.scores,
            stride: padded,
        });
    }
}

#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [f32], mask: &Lanes) {
    let (vectors, _) = scores.as_chunks_mut::<LANES>();
    let Some((last, others)) = vectors.split_last_mut() else { return };
    let mut most = simd.add(simd.load(last), simd.load(mask));
    simd.store(most, last);
    for vector in others {
        most = simd.larger(most, simd.load(vector));
    }
    let most = simd.splat(simd.most(most));
    let mut total = simd.splat(0.0);
    for vector in &mut *vectors {
        let share = exponential(simd, simd.sub(simd.load(vector), most));
        total = simd.add(total, share);
        simd.store(share, vector);
    }
    let inverse = simd.splat(1.0 / simd.sum(total));
    let smallest = simd.splat(f32::MIN_POSITIVE);
    for vector in vectors {
        let share = simd.mul(simd.load(vector), inverse);
        simd.store(simd.zero_below(share, smallest, share), vector);
    }
}

#[inline(always)]
fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    for (from, to) in from.as_chunks::<LANES>().0.iter().zip(to.as_chunks_mut::<LANES>().0) {
        simd.store(simd.load(from), to);
    }
}

struct AttentionGradient<'a, 'b, 'c> {
    heads: Heads,
    g: &'a [f32],
    probabilities: &'a [f32],
    tokens: &'a Tokens<&'b [f32]>,
    gradients: &'a mut Tokens<&'c mut [f32]>,
}

impl Work for AttentionGradient<'_, '_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (heads, padded) = (self.heads, self.heads.padded());
        let mut scratch = Scratch::new(heads);
        let images = self.g.chunks_exact(heads.of_queries());
        for (image, (g, p)) in
            images.zip(self.probabilities.chunks_exact(heads.of_probabilities())).enumerate()
        {
            let [q, k, v] = self.tokens.image(heads, image);
            for head in 0..heads.heads {
                let column = head * heads.width;
                let [q, k, v] = [q, k, v].map(|rows| rows.from(column));
                let g = Rows { data: &g[column..], stride: heads.columns() };
                let p = Rows { data: &p[head * padded..], stride: heads.heads * padded };
                scratch.score(simd, heads, g, v);
                for (query, slopes) in scratch.scores.chunks_exact_mut(padded).enumerate() {
                    softmax_gradient(simd, slopes, &p.data[query * p.stride..][..padded]);
                }
                let slopes = Rows { data: &scratch.scores, stride: padded };
                let parts = [
                    (Left::AsItIs(slopes), k, heads.queries, heads.keys),
                    (Left::Transposed(slopes), q, heads.keys, heads.queries),
                    (Left::Transposed(p), g, heads.keys, heads.queries),
                ];
                for (part, (left, right, rows, inner)) in parts.into_iter().enumerate() {
                    let (result, stride) = place(self.gradients, heads, image, part);
                    let result = &mut result[column..];
                    simd.call(Product { left, right, rows, inner, columns: heads.width, result, stride });
                }
            }
        }
    }
}

/// Where the gradient of the queries (part 0), keys (1) or values (2) of an image begins, and the stride of its rows.
#[inline(always)]
fn place<'a>(
    gradients: &'a mut Tokens<&mut [f32]>,
    heads: Heads,
    image: usize,
    part: usize,
) -> (&'a mut [f32], usize) {
    let columns = heads.columns();
    match (gradients, part) {
        (Tokens::Packed(all), _) => {
            let size = 3 * heads.of_queries();
            (&mut all[image * size..][..size][part * columns..], 3 * columns)
        }
        (Tokens::Apart(queries, _), 0) => {
            let size = heads.of_queries();
            (&mut queries[image * size..][..size], columns)
        }
        (Tokens::Apart(_, others), _) => {
            let size = 2 * heads.of_keys();
            (&mut others[image * size..][..size][(part - 1) * columns..], 2 * columns)
        }
    }
}

/// `(h − Σ h·p)·p` in place of `h`.
#[inline(always)]
fn softmax_gradient<S: Simd>(simd: S, h: &mut [f32], p: &[f32]) {
    let ((h, _), (p, _)) = (h.as_chunks_mut::<LANES>(), p.as_chunks::<LANES>());
    let mut total = simd.splat(0.0);
    for (h, p) in h.iter().zip(p) {
        total = simd.add(total, simd.mul(simd.load(h), simd.load(p)));
    }
    let total = simd.splat(simd.sum(total));
    for (h, p) in h.iter_mut().zip(p) {
        simd.store(simd.mul(simd.sub(simd.load(h), total), simd.load(p)), h);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows;
    use super::*;

    const SIZES: [Heads; 5] = [
        Heads { heads: 3, width: 16, queries: 5, keys: 5 },
        Heads { heads: 2, width: 3, queries: 17, keys: 17 },
        Heads { heads: 1, width: 64, queries: 50, keys: 50 },
        Heads { heads: 2, width: 20, queries: 1, keys: 16 },
        Heads { heads: 1, width: 1, queries: 1, keys: 1 },
    ];

    const IMAGES: usize = 3;

    /// Rows of packed tokens, each by itself in 64 bits: queries, keys and values, `[token][column]`.
    fn unpacked(heads: Heads, packed: &[f32], image: usize) -> [Vec<Vec<f64>>; 3] {
        let columns = heads.columns();
        [0, 1, 2].map(|part| {
            let rows = packed.chunks(3 * columns).skip(image * heads.keys).take(heads.keys);
            rows.map(|row| row[part * columns..][..columns].iter().copied().map(f64::from).collect())
                .collect()
        })
    }

    /// Averages, probabilities and gradients of one head in 64 bits: `[query][column]`, `[query][key]`, and
    /// `[token][column]` by queries, keys and values.
    fn expected(
        heads: Heads,
        head: usize,
        [q, k, v]: &[Vec<Vec<f64>>; 3],
        g: &[Vec<f64>],
    ) -> ([Vec<Vec<f64>>; 2], [Vec<Vec<f64>>; 3]) {
        let part = head * heads.width..(head + 1) * heads.width;
        let dot = |a: &[f64], b: &[f64]| {
            a[part.clone()].iter().zip(&b[part.clone()]).map(|(a, b)| a * b).sum::<f64>()
        };
        let empty = |rows: usize, width: usize| vec![vec![0.0; width]; rows];
        let (mut y, mut p) = (empty(heads.queries, heads.width), empty(heads.queries, heads.keys));
        let mut by_input = [heads.queries, heads.keys, heads.keys].map(|rows| empty(rows, heads.width));
        for i in 0..heads.queries {
            let scores: Vec<f64> = k.iter().map(|k| dot(&q[i], k)).collect();
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = scores.iter().map(|score| (score - most).exp()).sum();
            let slopes: Vec<f64> = v.iter().map(|v| dot(&g[i], v)).collect();
            for t in 0..heads.keys {
                p[i][t] = (scores[t] - most).exp() / total;
            }
            let mean: f64 = slopes.iter().zip(&p[i]).map(|(slope, p)| slope * p).sum();
            for t in 0..heads.keys {
                let slope = (slopes[t] - mean) * p[i][t];
                for (at, column) in part.clone().enumerate() {
                    y[i][at] += p[i][t] * v[t][column];
                    by_input[0][i][at] += slope * k[t][column];
                    by_input[1][t][at] += slope * q[i][column];
                    by_input[2][t][at] += p[i][t] * g[i][column];
                }
            }
        }
        ([y, p], by_input)
    }

    /// Queries, which are the first of each image, and the rest of packed rows.
    fn apart(heads: Heads, packed: &[f32]) -> [Vec<f32>; 2] {
        let columns = heads.columns();
        let images = packed.chunks(3 * heads.of_keys());
        let queries = images.flat_map(|image| image.chunks(3 * columns).take(heads.queries));
        let others = packed.chunks(3 * columns).flat_map(|row| row[columns..].to_vec());
        [queries.flat_map(|row| row[..columns].to_vec()).collect(), others.collect()]
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one formula in 64 bits, and its gradient")]
    fn averages_and_gradients_are_those_of_64_bits() {
        for heads in SIZES {
            let columns = heads.columns();
            let packed: Vec<f32> = rows(3 * columns, heads.keys * IMAGES, 0.7);
            let g = rows(columns, heads.queries * IMAGES, 1.3);
            let [queries, others] = apart(heads, &packed);
            let tokens = Tokens::Apart(&queries[..], &others[..]);
            for instructions in Instructions::all() {
                let mut y = vec![f32::NAN; heads.of_queries() * IMAGES];
                let mut p = vec![f32::NAN; heads.of_probabilities() * IMAGES];
                let (mut dq, mut dkv) =
                    (vec![f32::NAN; y.len()], vec![f32::NAN; 2 * heads.of_keys() * IMAGES]);
                instructions.run(Attention {
                    heads,
                    tokens: &tokens,
                    averages: &mut y,
                    probabilities: &mut p,
                });
                let gradients = &mut Tokens::Apart(&mut dq[..], &mut dkv[..]);
                instructions.run(AttentionGradient {
                    heads,
                    g: &g,
                    probabilities: &p,
                    tokens: &tokens,
                    gradients,
                });
                for (image, head) in
                    (0..IMAGES).flat_map(|image| (0..heads.heads).map(move |head| (image, head)))
                {
                    let [q, k, v] = unpacked(heads, &packed, image);
                    let g: Vec<Vec<f64>> = g
                        .chunks(columns)
                        .skip(image * heads.queries)
                        .map(|row| row.iter().copied().map(f64::from).collect())
                        .collect();
                    let ([averages, shares], by_input) = expected(heads, head, &[q, k, v], &g);
                    let column = head * heads.width;
                    let found =
                        |all: &[f32], stride: usize, row: usize, at: usize| f64::from(all[row * stride + at]);
                    for i in 0..heads.queries {
                        let row = image * heads.queries + i;
                        for at in 0..heads.width {
                            let pairs = [
                                (found(&y, columns, row, column + at), averages[i][at]),
                                (found(&dq, columns, row, column + at), by_input[0][i][at]),
                            ];
                            for (found, wanted) in pairs {
                                assert!(
                                    (found - wanted).abs() < 1e-5,
                                    "{heads:?}, {instructions:?}: {found}, {wanted}"
                                );
                            }
                        }
                        for t in 0..heads.padded() {
                            let found =
                                found(&p, heads.heads * heads.padded(), row, head * heads.padded() + t);
                            let wanted = shares[i].get(t).copied().unwrap_or(0.0);
                            assert!(
                                (found - wanted).abs() < 1e-5,
                                "{heads:?}, {instructions:?}: {found}, {wanted}"
                            );
                        }
                    }
                    for (t, at) in (0..heads.keys).flat_map(|t| (0..heads.width).map(move |at| (t, at))) {
                        let row = image * heads.keys + t;
                        for part in [1, 2] {
                            let found = found(&dkv, 2 * columns, row, (part - 1) * columns + column + at);
                            let wanted = by_input[part][t][at];
                            assert!(
                                (found - wanted).abs() < 2e-5,
                                "{heads:?}, {instructions:?}: {found}, {wanted}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_image_has_the_same_bits_alone_in_a_batch_packed_and_apart() {
        for heads in SIZES.into_iter().filter(|heads| heads.queries == heads.keys) {
            let packed = rows(3 * heads.columns(), heads.keys * IMAGES, 0.7);
            let g = rows(heads.columns(), heads.queries * IMAGES, 1.3);
            let size = 3 * heads.of_keys();
            let run = |instructions: Instructions, packed: &[f32], g: &[f32]| {
                let images = packed.len() / size;
                let mut y = vec![0.0; heads.of_queries() * images];
                let mut p = vec![0.0; heads.of_probabilities() * images];
                let mut gradient = vec![0.0; packed.len()];
                let tokens = Tokens::Packed(packed);
                instructions.run(Attention {
                    heads,
                    tokens: &tokens,
                    averages: &mut y,
                    probabilities: &mut p,
                });
                let gradients = &mut Tokens::Packed(&mut gradient[..]);
                instructions.run(AttentionGradient {
                    heads,
                    g,
                    probabilities: &p,
                    tokens: &tokens,
                    gradients,
                });
                (y, gradient)
            };
            let first = run(Instructions::Portable, &packed, &g);
            for instructions in Instructions::all() {
                let whole = run(instructions, &packed, &g);
                assert_eq!(whole, first, "{instructions:?}");
                for image in 0..IMAGES {
                    let rows = heads.of_queries();
                    let part = image * rows..(image + 1) * rows;
                    let (y, gradient) = run(instructions, &packed[image * size..][..size], &g[part.clone()]);
                    assert_eq!(y, whole.0[part]);
                    assert_eq!(gradient, whole.1[image * size..][..size]);
                }
                let [queries, others] = apart(heads, &packed);
                let mut y = vec![0.0; first.0.len()];
                let tokens = &Tokens::Apart(&queries[..], &others[..]);
                instructions.run(Attention { heads, tokens, averages: &mut y, probabilities: &mut [] });
                assert_eq!(y, first.0);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_spoils_its_own_query_only() {
        let heads = Heads { heads: 1, width: 4, queries: 2, keys: 2 };
        let mut packed = rows(12, 2, 0.7);
        packed[0] = f32::NAN;
        for instructions in Instructions::all() {
            let mut y = [0.0; 8];
            let tokens = &Tokens::Packed(&packed[..]);
            instructions.run(Attention { heads, tokens, averages: &mut y, probabilities: &mut [] });
            assert!(y[..4].iter().all(|number| number.is_nan()), "{instructions:?}: {y:?}");
            assert!(y[4..].iter().all(|number| number.is_finite()), "{instructions:?}: {y:?}");
        }
    }

    #[test]
    fn probabilities_that_would_be_denormal_are_zero() {
        let heads = Heads { heads: 1, width: 1, queries: 1, keys: 3 };
        let (queries, others) = ([1.0], [0.0, 1.0, -88.0, 1.0, -200.0, 1.0]);
        for instructions in Instructions::all() {
            let (mut y, mut p) = ([0.0], [9.0; LANES]);
            let tokens = &Tokens::Apart(&queries[..], &others[..]);
            instructions.run(Attention { heads, tokens, averages: &mut y, probabilities: &mut p });
            assert_eq!(p, super::super::simd::padded(&[1.0]), "{instructions:?}");
        }
    }
}
