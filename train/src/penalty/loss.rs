//! The penalty of a batch and its gradients: rows to kernel matrices, an estimate, and the chain rule back to the rows.

use tch::{Kind, Tensor};

use super::config::{self, Estimator, PenaltyConfig, PenaltyConfigError};
use super::distance::CentredRows;
use super::estimate::Estimate;
use super::flags::Flags;
use super::kernel::{Bandwidth, Kernel};
use super::skip::{Argument, SkipReason};
use super::unread::Unread;
use super::{cka, hsic, nhsic, renyi};

/// A measure of dependence between two batches of rows.
#[derive(Debug, Clone, Copy)]
pub struct Penalty {
    estimator: Estimator,
    width: Bandwidth,
    epsilon: f64,
}

/// The penalty of a batch, or why it has none.
#[derive(Debug)]
pub enum PenaltyOutcome<T> {
    /// A number to train on.
    Value(T),
    /// Nothing: the step continues without the penalty, as in the authors' code.
    Skipped(SkipReason),
}

/// The penalty of one batch, before the factor λ.
#[derive(Debug)]
pub struct PenaltyLoss {
    /// The estimate as a float32 scalar, whose backward pass carries the gradient to z. 0 without a gradient where there is none:
    /// the step continues without the penalty, as in the authors' code.
    pub loss: Tensor,
    /// The estimate, or why there is none.
    pub found: Unread,
}

/// The penalty of one batch and its gradients, before the factor λ.
#[derive(Debug)]
pub struct PenaltyGradients {
    /// The estimate.
    pub value: f64,
    /// Gradient with respect to x, of its shape.
    pub x: Tensor,
    /// Gradient with respect to z, of its shape.
    pub z: Tensor,
}

/// Tensors whose shapes do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PenaltyError {
    /// The arguments are not two batches of the same number of rows.
    #[error("the penalty takes [m, d] twice with the same m, found {x:?} and {z:?}")]
    Shape {
        /// Shape of x.
        x: Vec<i64>,
        /// Shape of z.
        z: Vec<i64>,
    },
}

/// Both batches, `x` first.
pub(super) struct KernelPair {
    pub(super) rows: [CentredRows; 2],
    pub(super) kernels: [Kernel; 2],
}

impl Penalty {
    /// The measure that a configuration asks for.
    pub fn new(config: &PenaltyConfig) -> Result<Self, PenaltyConfigError> {
        config.check()?;
        let estimator = config.estimator;
        let width = match (estimator, config.sigma) {
            (Estimator::Nhsic | Estimator::Hsic, None) => Bandwidth::PerCoordinate(config::SIGMA),
            (Estimator::Renyi, None) => Bandwidth::TenNearest,
            (Estimator::CkaUnbiased, None) => Bandwidth::Median,
            (Estimator::Renyi, Some(sigma)) => Bandwidth::Distance(sigma),
            (_, Some(sigma)) => Bandwidth::PerCoordinate(sigma),
        };
        Ok(Self { estimator, width, epsilon: config.epsilon.unwrap_or(config::EPSILON) })
    }

    /// The penalty of the images `x` `[m, d_x]` and the latents `z` `[m, d_z]`, row i of both from sample i. `x` is taken
    /// as constant.
    ///
    /// The gradient is known in closed form, so the loss is a surrogate for automatic differentiation: with g that
    /// gradient, value + Σ (z − sg(z)) ∘ g, where sg stops gradients. It equals the value exactly and its derivative by z
    /// is g.
    ///
    /// Nothing is read from the device.
    pub fn loss(&self, x: &Tensor, z: &Tensor) -> Result<PenaltyLoss, PenaltyError> {
        let (x, constant) = (x.detach(), z.detach());
        check_shapes(&x, &constant)?;
        let mut flags = Flags::new(constant.device());
        let evaluated = self.pair(&x, &constant, &mut flags).and_then(|pair| {
            let (value, kernel_gradient) = self.evaluate(&pair.kernels[0], &pair.kernels[1], &mut flags)?;
            let gradient = pair.rows[1].row_gradient(&pair.kernels[1].distance_gradient(&kernel_gradient));
            Ok((value, gradient))
        });
        Ok(match evaluated {
            Err(reason) => {
                let loss = Tensor::zeros([], (Kind::Float, constant.device()));
                PenaltyLoss { loss, found: Unread::Skipped(reason) }
            }
            Ok((value, gradient)) => {
                let zero = ((z - constant) * flags.or_zeros(&gradient)).sum(Kind::Float);
                let found = Tensor::stack(&[&value, flags.number()], 0);
                let loss = flags.or_zeros(&(zero + value.to_kind(Kind::Float)));
                PenaltyLoss { loss, found: Unread::OnDevice(found) }
            }
        })
    }

    /// The penalty of `x` `[m, d_x]` and `z` `[m, d_z]` with the gradients by both, for an attack that goes through both
    /// (PGD-MI, equation 18). Gradients of other uses of x are not followed: z is taken as given.
    pub fn gradients(
        &self,
        x: &Tensor,
        z: &Tensor,
    ) -> Result<PenaltyOutcome<PenaltyGradients>, PenaltyError> {
        let (x, z) = (x.detach(), z.detach());
        check_shapes(&x, &z)?;
        let mut flags = Flags::new(z.device());
        let evaluated = self.pair(&x, &z, &mut flags).and_then(|pair| {
            let [kernel_x, kernel_z] = &pair.kernels;
            let (value, by_z) = self.evaluate(kernel_x, kernel_z, &mut flags)?;
            let (_, by_x) = self.evaluate(kernel_z, kernel_x, &mut flags)?;
            let value = Unread::OnDevice(Tensor::stack(&[&value, flags.number()], 0)).read()?;
            let x = pair.rows[0].row_gradient(&kernel_x.distance_gradient(&by_x));
            let z = pair.rows[1].row_gradient(&kernel_z.distance_gradient(&by_z));
            Ok(PenaltyGradients { value, x, z })
        });
        Ok(PenaltyOutcome::from(evaluated))
    }

    pub(super) fn pair(&self, x: &Tensor, z: &Tensor, flags: &mut Flags) -> Result<KernelPair, SkipReason> {
        let (found, wanted) = (x.size()[0], self.estimator.min_samples());
        if found < wanted {
            return Err(SkipReason::TooFewSamples { found, wanted });
        }
        let rows = [CentredRows::new(x), CentredRows::new(z)];
        let mut kernel = |rows: &CentredRows, argument| Kernel::new(rows, self.width, argument, flags);
        let kernels = [kernel(&rows[0], Argument::Image), kernel(&rows[1], Argument::Latent)];
        Ok(KernelPair { rows, kernels })
    }

    /// The estimate, a scalar, and its derivative by the second kernel matrix.
    pub(super) fn evaluate(
        &self,
        first: &Kernel,
        second: &Kernel,
        flags: &mut Flags,
    ) -> Result<(Tensor, Tensor), SkipReason> {
        let (first, second) = (&first.matrix, &second.matrix);
        let Estimate { value, kernel_gradient } = match self.estimator {
            Estimator::Nhsic => nhsic::nhsic(first, second, self.epsilon, flags),
            Estimator::Hsic => Ok(hsic::hsic(first, second)),
            Estimator::Renyi => renyi::renyi(first, second),
            Estimator::CkaUnbiased => Ok(cka::cka_unbiased(first, second, flags)),
        }?;
        let is_finite = value.isfinite().logical_and(&kernel_gradient.sum(Kind::Double).isfinite());
        flags.note(&is_finite.logical_not(), SkipReason::NonFinite);
        flags.note(&value.eq(0.0), SkipReason::Zero);
        Ok((value, kernel_gradient))
    }
}

impl<T> From<Result<T, SkipReason>> for PenaltyOutcome<T> {
    fn from(result: Result<T, SkipReason>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(reason) => Self::Skipped(reason),
        }
    }
}

fn check_shapes(x: &Tensor, z: &Tensor) -> Result<(), PenaltyError> {
    let (x, z) = (x.size(), z.size());
    match (&x[..], &z[..]) {
        ([m, _], [n, _]) if m == n => Ok(()),
        _ => Err(PenaltyError::Shape { x, z }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::testing::{largest, normal, vectors};

    const ALL: [Estimator; 4] = [Estimator::Nhsic, Estimator::Hsic, Estimator::Renyi, Estimator::CkaUnbiased];

    fn penalty(estimator: Estimator, sigma: Option<f64>) -> Penalty {
        Penalty::new(&PenaltyConfig { estimator, sigma, ..PenaltyConfig::default() }).unwrap()
    }

    fn value<T: std::fmt::Debug>(outcome: Result<PenaltyOutcome<T>, PenaltyError>) -> T {
        match outcome.unwrap() {
            PenaltyOutcome::Value(value) => value,
            PenaltyOutcome::Skipped(reason) => panic!("{reason}"),
        }
    }

    /// A penalty that has been read.
    #[derive(Debug)]
    struct Read {
        value: f64,
        loss: Tensor,
    }

    impl Penalty {
        fn read_loss(&self, x: &Tensor, z: &Tensor) -> Result<PenaltyOutcome<Read>, PenaltyError> {
            let PenaltyLoss { loss, found } = self.loss(x, z)?;
            Ok(PenaltyOutcome::from(found.read().map(|value| Read { value, loss })))
        }
    }

    fn skip(outcome: Result<PenaltyOutcome<Read>, PenaltyError>) -> SkipReason {
        match outcome.unwrap() {
            PenaltyOutcome::Value(loss) => panic!("{}", loss.value),
            PenaltyOutcome::Skipped(reason) => reason,
        }
    }

    /// `[m, d]` in float64.
    fn rows(name: &str, m: i64, d: i64) -> Tensor {
        normal(name, &[m, d]).to_kind(Kind::Double)
    }

    #[test]
    fn value_and_gradient_are_those_of_the_authors_code() {
        let (x, z) = vectors();
        let z = z.set_requires_grad(true);
        let Read { value, loss } = value(penalty(Estimator::Nhsic, None).read_loss(&x, &z));
        // scripts/reference/penalty_fixtures.py
        assert!((value - 2.585_554_169_052_464).abs() < 1e-11, "{value}");
        assert_eq!((loss.kind(), loss.size()), (Kind::Float, vec![]));
        assert_eq!(loss.double_value(&[]), f64::from(value as f32));
        loss.backward();
        let wanted = [
            0.051_494_198_482_941,
            -0.009_901_622_958_073,
            -0.021_287_276_714_040,
            0.001_884_540_353_738,
            -0.003_646_786_229_030,
            0.042_381_408_633_657,
            -0.026_560_135_539_872,
            -0.034_364_326_029_325,
        ];
        let error = largest(&(z.grad() - Tensor::from_slice(&wanted).reshape([4, 2])).abs());
        // Rounding u of the factors, under condition κ = 1e3 and a ridge c = 4e-5: u·κ/c = 3e-9 in the derivative by the
        // kernel, times 2/(σ²d) = 0.04 and differences of z of up to 2.
        assert!(error < 2e-10, "{error}");
    }

    #[test]
    fn gradients_by_both_arguments_are_central_differences() {
        let (x, z) = (rows("x", 6, 3), rows("z", 6, 2));
        for estimator in ALL {
            let penalty = penalty(estimator, Some(1.5));
            let gradients = value(penalty.gradients(&x, &z));
            for (gradient, argument) in [(&gradients.x, 0), (&gradients.z, 1)] {
                let at = |row: i64, column: i64, step: f64| {
                    let moved = [x.copy(), z.copy()];
                    let _ = moved[argument].get(row).get(column).g_add_scalar_(step);
                    value(penalty.read_loss(&moved[0], &moved[1])).value
                };
                for (row, column) in [(0, 0), (1, 1), (3, 0), (5, 1)] {
                    let step = 1e-5;
                    let difference = (at(row, column, step) - at(row, column, -step)) / (2.0 * step);
                    let closed = gradient.double_value(&[row, column]);
                    // Cut-off goes with step², rounding with 1e-16/(1e-5 step) under the ridge of nhsic.
                    let bound = 1e-5 * largest(&gradient.abs());
                    assert!((difference - closed).abs() < bound, "{estimator:?}: {difference} {closed}");
                }
            }
        }
    }

    #[test]
    fn the_loss_composes_with_automatic_differentiation() {
        let x = rows("x", 8, 5).to_kind(Kind::Float).set_requires_grad(true);
        let weight = normal("w", &[5, 3]);
        let inputs = normal("inputs", &[8, 5]);
        for estimator in ALL {
            let weight = weight.detach().set_requires_grad(true);
            let z = inputs.matmul(&weight);
            let penalty = penalty(estimator, None);
            let loss = value(penalty.read_loss(&x, &z)).loss * 3.0 + z.square().sum(Kind::Float);
            loss.backward();
            let direct = value(penalty.gradients(&x, &z)).z * 3.0 + z.detach() * 2.0;
            let wanted = inputs.tr().matmul(&direct);
            assert!(
                largest(&(weight.grad() - &wanted).abs()) < 1e-5 * largest(&wanted.abs()),
                "{estimator:?}"
            );
            assert!(!x.grad().defined(), "x is constant");
        }
    }

    #[test]
    fn the_order_of_samples_does_not_count() {
        let (x, z) = (rows("x", 9, 7), rows("z", 9, 4));
        let order = Tensor::from_slice(&[3i64, 0, 8, 1, 7, 2, 6, 5, 4]);
        for estimator in ALL {
            let penalty = penalty(estimator, None);
            let straight = value(penalty.gradients(&x, &z));
            let moved = value(penalty.gradients(&x.index_select(0, &order), &z.index_select(0, &order)));
            assert!((straight.value - moved.value).abs() < 1e-9 * straight.value.abs(), "{estimator:?}");
            for (straight, moved) in [(&straight.x, &moved.x), (&straight.z, &moved.z)] {
                let error = largest(&(straight.index_select(0, &order) - moved).abs());
                assert!(error < 1e-8 * largest(&straight.abs()), "{estimator:?}: {error}");
            }
        }
    }

    #[test]
    fn small_batches() {
        for estimator in ALL {
            let penalty = penalty(estimator, None);
            let wanted = estimator.min_samples();
            for m in 0..wanted {
                let reason = skip(penalty.read_loss(&rows("x", m, 5), &rows("z", m, 2)));
                assert_eq!(reason, SkipReason::TooFewSamples { found: m, wanted }, "{estimator:?}");
            }
            let found = value(penalty.gradients(&rows("x", wanted, 5), &rows("z", wanted, 2)));
            assert!(found.x.isfinite().all().int64_value(&[]) == 1, "{estimator:?}");
        }
    }

    /// Two samples have one distance: R_x and R_z are the same projection but for the ridge.
    #[test]
    fn two_samples_in_closed_form() {
        let (x, z) = (rows("x", 2, 3), rows("z", 2, 2));
        // The only eigenvalue of H K H is 1 − k.
        let ratio = |rows: &Tensor, d: f64| {
            let distance = (rows.get(0) - rows.get(1)).square().sum(Kind::Double).double_value(&[]);
            let eigenvalue = -(-distance / (50.0 * d)).exp_m1();
            eigenvalue / (eigenvalue + 2e-5)
        };
        let found = value(penalty(Estimator::Nhsic, None).read_loss(&x, &z)).value;
        assert!((found - ratio(&x, 3.0) * ratio(&z, 2.0)).abs() < 1e-10, "{found}");
    }

    #[test]
    fn degenerate_batches_are_skipped_with_the_reason() {
        let (x, z) = (rows("x", 12, 5), rows("z", 12, 3));
        let constant = z.narrow(0, 0, 1).expand([12, 3], false);
        let with = |value: f64| {
            let changed = z.copy();
            let _ = changed.get(5).get(1).fill_(value);
            changed
        };
        for estimator in ALL {
            let loss = |x: &Tensor, z: &Tensor| skip(penalty(estimator, None).read_loss(x, z));
            assert_eq!(loss(&x, &constant), SkipReason::EqualRows(Argument::Latent));
            assert_eq!(loss(&constant, &z), SkipReason::EqualRows(Argument::Image));
            for value in [f64::NAN, f64::INFINITY, 1e200] {
                assert_eq!(loss(&x, &with(value)), SkipReason::NonFiniteInput(Argument::Latent), "{value}");
            }
        }
        // All but one are equal, and so are most pairs: the median is 0.
        let almost = constant.copy();
        let _ = almost.get(0).fill_(9.0);
        let reason = skip(penalty(Estimator::CkaUnbiased, None).read_loss(&x, &almost));
        assert_eq!(reason, SkipReason::ZeroWidth(Argument::Latent));
        // The mean distance of the nearest is not, because the odd one out has only far neighbours.
        value(penalty(Estimator::Renyi, None).read_loss(&x, &almost));
        // Distances that vanish beside 1.
        assert_eq!(skip(penalty(Estimator::Nhsic, None).read_loss(&x, &(&z * 1e-12))), SkipReason::Zero);
        assert_eq!(
            skip(penalty(Estimator::CkaUnbiased, Some(1.0)).read_loss(&x, &(&z * 1e-12))),
            SkipReason::ConstantKernel
        );
    }

    /// The step goes on without it: nothing of it reaches loss or weights.
    #[test]
    fn a_batch_without_a_penalty_adds_zeros() {
        let (x, z) = (rows("x", 12, 5), rows("z", 12, 3).set_requires_grad(true));
        let constant = x.narrow(0, 0, 1).expand([12, 5], false);
        let infinite = &x / 0.0;
        for estimator in ALL {
            for x in [&constant, &infinite] {
                let PenaltyLoss { loss, found } = penalty(estimator, None).loss(x, &z).unwrap();
                assert_eq!(loss.double_value(&[]), 0.0, "{estimator:?}");
                (loss * 3.0).backward();
                assert_eq!(largest(&z.grad().abs()), 0.0, "{estimator:?}");
                found.read().unwrap_err();
            }
        }
    }

    /// What a step computes goes to the device and comes back when the step is read: a number in between would make a GPU wait.
    /// Without one this cannot be measured, so the sources are looked at.
    #[test]
    fn nothing_of_a_step_is_read_from_the_device() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = 0;
        for folder in ["penalty", "adversary", "loss", "model", "optim"] {
            let mut folders = vec![root.join(folder)];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    let name = path.file_name().unwrap().to_str().unwrap();
                    if ["tests", "tests.rs", "testing.rs", "discrimination.rs"].contains(&name) {
                        continue;
                    }
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        let text = std::fs::read_to_string(&path).unwrap();
                        let code = text.split("#[cfg(test)]").next().unwrap();
                        let reads = ["_value(&[", ">::try_from(", "to_device(Device::Cpu)", "copy_data"];
                        let found = reads.iter().any(|read| code.contains(read));
                        // What reads when the step is read, and what tests call.
                        let may = ["unread.rs", "clip.rs"].contains(&name);
                        assert_eq!(found, may, "{}", path.display());
                        files += 1;
                    }
                }
            }
        }
        assert!(files > 40, "{files}");
    }

    #[test]
    fn pairs_of_equal_rows_do_no_harm() {
        let (x, z) = (rows("x", 12, 5), rows("z", 12, 3));
        let twice = |rows: &Tensor| Tensor::cat(&[rows, rows], 0);
        for estimator in ALL {
            let found = value(penalty(estimator, None).gradients(&twice(&x), &twice(&z)));
            let halves = found.z.chunk(2, 0);
            let error = largest(&(&halves[0] - &halves[1]).abs());
            assert!(error < 1e-6 * largest(&found.z.abs()), "{estimator:?}: {error}");
        }
    }

    #[test]
    fn shapes_are_checked() {
        let penalty = penalty(Estimator::Hsic, None);
        let error = penalty.read_loss(&rows("x", 3, 2), &rows("z", 4, 2)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the penalty takes [m, d] twice with the same m, found [3, 2] and [4, 2]"
        );
        assert!(penalty.read_loss(&rows("x", 3, 2), &rows("z", 3, 2).unsqueeze(2)).is_err());
    }
}
