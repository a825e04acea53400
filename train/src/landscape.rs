//! The loss around the weights of a classifier, on a plane through two random directions (Li et al., "Visualizing the loss
//! landscape of neural nets", NeurIPS 2018): the data of figure 3.

use tch::{Kind, Tensor};

use crate::loss::{cross_entropy, smooth_targets};
use crate::parameters::Parameters;
use crate::random;

/// A direction for every trained tensor, in the order of the parameters.
///
/// Normal numbers keyed by seed and name, each filter (a row of the first axis) scaled to the norm of the weights' filter; 0 for
/// tensors of one axis, biases and scales, as the authors leave them out. A step of 1 then changes every filter by its own length.
#[derive(Debug)]
pub struct Direction(Vec<Tensor>);

impl Direction {
    /// Number `place` of a seed.
    pub fn new(parameters: &Parameters, seed: u64, place: usize) -> Self {
        let of = |name: &str, weights: &Tensor| {
            let weights = weights.detach();
            if weights.dim() < 2 {
                return weights.zeros_like();
            }
            let mut stream = random::for_name(seed, &format!("landscape {place} {name}"));
            let numbers: Vec<f32> = (0..weights.numel()).map(|_| stream.normal() as f32).collect();
            let drawn = Tensor::from_slice(&numbers).reshape(weights.size()).to_device(weights.device());
            let norm = |tensor: &Tensor| {
                let rows = tensor.flatten(1, -1).square().sum_dim_intlist(1, false, Kind::Float).sqrt();
                let mut shape = vec![1; tensor.dim()];
                shape[0] = -1;
                rows.reshape(shape)
            };
            &drawn * (norm(&weights) / norm(&drawn).clamp_min(1e-12))
        };
        Self(parameters.trainable().map(|parameter| of(&parameter.name, &parameter.tensor)).collect())
    }
}

/// A point of the plane, and the loss there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Steps along the two directions.
    pub steps: [f64; 2],
    /// Mean cross-entropy of clean images.
    pub clean: f64,
    /// The same of the adversarial images that were found at the weights themselves.
    pub attacked: f64,
}

/// Images with their labels, and adversarial ones found at the weights.
#[derive(Debug)]
pub struct Images {
    /// `[N, 3, S, S]`.
    pub clean: Tensor,
    /// Likewise.
    pub attacked: Tensor,
    /// `[N]` int64.
    pub labels: Tensor,
}

/// The loss at `points` × `points` places from −`reach` to `reach` along both directions, row by row. The weights are as before
/// when it returns.
pub fn plane(
    parameters: &Parameters,
    directions: &[Direction; 2],
    batches: &[Images],
    (points, reach): (usize, f64),
    logits: impl Fn(&Tensor) -> Tensor,
) -> Vec<Point> {
    let weights: Vec<Tensor> =
        parameters.trainable().map(|parameter| parameter.tensor.detach().copy()).collect();
    let place = |index: usize| {
        if points < 2 { 0.0 } else { reach * (2.0 * index as f64 / (points - 1) as f64 - 1.0) }
    };
    let mut found = Vec::with_capacity(points * points);
    for (row, column) in (0..points).flat_map(|row| (0..points).map(move |column| (row, column))) {
        let steps = [place(row), place(column)];
        move_to(parameters, &weights, directions, steps);
        let [clean, attacked] = losses(batches, &logits);
        found.push(Point { steps, clean, attacked });
    }
    move_to(parameters, &weights, directions, [0.0; 2]);
    found
}

fn move_to(parameters: &Parameters, weights: &[Tensor], [first, second]: &[Direction; 2], steps: [f64; 2]) {
    tch::no_grad(|| {
        let directions = first.0.iter().zip(&second.0);
        for ((parameter, weights), (first, second)) in parameters.trainable().zip(weights).zip(directions) {
            let moved = match steps {
                // Exactly the weights, whatever a product with 0 would round to.
                [0.0, 0.0] => weights.shallow_clone(),
                [a, b] => weights + first * a + second * b,
            };
            parameter.tensor.shallow_clone().copy_(&moved);
        }
    });
}

/// Mean losses of clean and adversarial images.
fn losses(batches: &[Images], logits: &impl Fn(&Tensor) -> Tensor) -> [f64; 2] {
    let (mut sums, mut count) = ([0.0; 2], 0);
    for batch in batches {
        for (sum, images) in sums.iter_mut().zip([&batch.clean, &batch.attacked]) {
            let loss = tch::no_grad(|| {
                let logits = logits(images);
                let targets = smooth_targets(&batch.labels, logits.size()[1], 0.0);
                cross_entropy(&logits, &targets).sum(Kind::Double)
            });
            *sum += loss.double_value(&[]);
        }
        count += batch.labels.size()[0];
    }
    sums.map(|sum| sum / count.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Init;
    use tch::Device;

    fn linear() -> (Parameters, Tensor, Tensor) {
        let mut parameters = Parameters::new(1, Device::Cpu);
        let weight = parameters.root().parameter("weight", &[3, 4], Init::Normal(1.0));
        let bias = parameters.root().parameter("bias", &[3], Init::Normal(1.0));
        (parameters, weight, bias)
    }

    #[test]
    fn filters_of_a_direction_are_as_long_as_those_of_the_weights() {
        let (parameters, weight, _) = linear();
        let [first, other, second] =
            [(5, 0), (6, 0), (5, 1)].map(|(seed, place)| Direction::new(&parameters, seed, place).0);
        let lengths = |tensor: &Tensor| tensor.square().sum_dim_intlist(1, false, Kind::Float).sqrt();
        assert!(lengths(&first[0]).allclose(&lengths(&weight), 1e-5, 0.0, false));
        assert_eq!(first[1].abs().max().double_value(&[]), 0.0, "biases stay");
        assert!(first[0] != other[0] && first[0] != second[0]);
    }

    #[test]
    fn the_plane_has_the_loss_of_the_moved_weights_and_leaves_them() {
        let (parameters, weight, bias) = linear();
        let before = (weight.copy(), bias.copy());
        let directions = [0, 1].map(|place| Direction::new(&parameters, 0, place));
        let clean = Tensor::arange(8, (Kind::Float, Device::Cpu)).reshape([2, 4]) / 8.0;
        let labels = Tensor::from_slice(&[0i64, 2]);
        let logits = |x: &Tensor| x.linear(&weight, Some(&bias));
        let batch = Images { clean: clean.copy(), attacked: &clean + 0.1, labels: labels.copy() };
        let found = plane(&parameters, &directions, &[batch], (3, 0.5), logits);
        assert_eq!((found.len(), found[1].steps, found[4].steps), (9, [-0.5, 0.0], [0.0, 0.0]));
        assert_eq!((&weight, &bias), (&before.0, &before.1));
        let loss = |weight: &Tensor, x: &Tensor| {
            let targets = smooth_targets(&labels, 3, 0.0);
            cross_entropy(&x.linear(weight, Some(&bias)), &targets).mean(Kind::Double).double_value(&[])
        };
        assert!((found[4].clean - loss(&weight, &clean)).abs() < 1e-6);
        assert!((found[4].attacked - loss(&weight, &(&clean + 0.1))).abs() < 1e-6);
        let moved = &weight - &directions[0].0[0] * 0.5 + &directions[1].0[0] * 0.5;
        assert!((found[2].clean - loss(&moved, &clean)).abs() < 1e-6, "{found:?}");
    }
}
