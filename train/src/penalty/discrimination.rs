//! Do the estimators distinguish dependent from independent features?
//!
//! Each estimator is evaluated on a batch of 128 images x and latents z that resemble those of a training step:
//!
//! - **Images** have a spectrum like natural images (power falls as 1/f²; Field 1987). Each is a sum of six fields of
//!   standard normal noise, on grids of side 1, 2, 4, 8, 16 and 32, each enlarged bilinearly to 32×32. The three
//!   channels share 90 % of their variance. Mean 0.5, standard deviation 0.25, clamped to [0, 1].
//! - **Latents** are a random linear map followed by layer normalisation. "Dependent" latents are computed from the
//!   images themselves, "independent" ones from other images of the same distribution.
//!
//! A useful penalty is large for dependent and small for independent latents. `hsic` and `cka_unbiased` are; `nhsic` and
//! `renyi` differ by less than 5 %.
//!
//! The same holds for 128 CIFAR-10 test images with the same map to 12,480 columns (the tokens of ViT-T: 65 of width
//! 192):
//!
//! | estimator | dependent | independent |
//! | --- | --- | --- |
//! | `nhsic` | 41.0 | 37.9 |
//! | `hsic` | 9.9e-6 | 5.9e-7 |
//! | `renyi` | 5.08 | 5.00 |
//! | `cka_unbiased` | 0.968 | −0.014 |

use tch::{Kind, Tensor};

use super::estimate::inner;
use super::flags::Flags;
use super::testing::normal;
use super::{Estimator, Penalty, PenaltyConfig};

const M: i64 = 128;
const COLUMNS: i64 = 768;

/// Images `[M, 3072]` of [0, 1].
fn images(name: &str) -> Tensor {
    let smooth = |part: &str, channels: i64| {
        let mut sum = Tensor::zeros([M, channels, 32, 32], (Kind::Float, tch::Device::Cpu));
        for size in [1i64, 2, 4, 8, 16, 32] {
            let noise = normal(&format!("{name} {part} {size}"), &[M, channels, size, size]);
            sum += noise.upsample_bilinear2d([32, 32], false, None, None);
        }
        sum
    };
    let field = smooth("grey", 1) * 0.9f64.sqrt() + smooth("colour", 3) * 0.1f64.sqrt();
    let field = &field / field.std(true);
    (field * 0.25 + 0.5).clamp(0.0, 1.0).reshape([M, -1])
}

/// Latents `[M, COLUMNS]` of images `[M, 3072]`.
fn latents(images: &Tensor) -> Tensor {
    let map = normal("map", &[3072, COLUMNS]);
    (images - 0.5).matmul(&map).layer_norm([COLUMNS], None::<&Tensor>, None::<&Tensor>, 1e-6, true)
}

fn penalty(estimator: Estimator) -> Penalty {
    Penalty::new(&PenaltyConfig { estimator, ..PenaltyConfig::default() }).unwrap()
}

fn value(estimator: Estimator, x: &Tensor, z: &Tensor) -> f64 {
    penalty(estimator)
        .loss(x, z)
        .unwrap()
        .found
        .read()
        .unwrap_or_else(|reason| panic!("{estimator:?}: {reason}"))
}

#[test]
fn dependent_and_independent_features() {
    let x = images("images");
    let (dependent, independent) = (latents(&x), latents(&images("others")));
    let small = &independent * 0.1;
    let noise = normal("noise", &[M, COLUMNS]);
    let values = |estimator| [&dependent, &independent, &small, &noise].map(|z| value(estimator, &x, z));

    // Hardly depends on dependence, but on the scale of z: noise of the same scale gives a larger value than dependence.
    let [dependent, independent, small, noise] = values(Estimator::Nhsic);
    assert!((dependent / independent - 1.0).abs() < 0.05, "{dependent} {independent}");
    assert!(small < 0.25 * independent, "{small} {independent}");
    assert!(noise > dependent, "{noise} {dependent}");

    // Depends on both: dependence, and the scale of z.
    let [dependent, independent, small, _] = values(Estimator::Hsic);
    assert!(dependent > 5.0 * independent, "{dependent} {independent}");
    assert!(small < 0.02 * independent, "{small} {independent}");

    // Hardly depends on dependence either: kernels as narrow as the distance to the tenth neighbour bring the joint
    // entropy close to its maximum of log2(m) = 7 bits in any case. The bandwidth follows the scale of z.
    let [dependent, independent, small, _] = values(Estimator::Renyi);
    assert!((dependent / independent - 1.0).abs() < 0.05, "{dependent} {independent}");
    assert!((small - independent).abs() < 1e-4, "{small} {independent}");

    // Depends on dependence alone. For random permutations of the samples its mean is 0 and its variance about 2/(m(m −
    // 3)), so 0.05 is 4.5 standard deviations.
    let [dependent, independent, small, noise] = values(Estimator::CkaUnbiased);
    assert!(dependent >= 0.9, "{dependent}");
    assert!(independent.abs() <= 0.05 && noise.abs() <= 0.05, "{independent} {noise}");
    assert!((small - independent).abs() < 1e-4, "{small} {independent}");
}

/// The mean of tr(R_x R_z) over all permutations of the samples is tr R_x · tr R_z / (m − 1), because both matrices map
/// the constant vector to 0. That is the expected value for independent samples of the same scale: only what a value
/// exceeds it by is evidence of dependence. Here that is less than 10 %.
#[test]
fn nhsic_of_dependent_samples_is_close_to_its_permutation_mean() {
    let x = images("images");
    let z = latents(&x);
    let pair = penalty(Estimator::Nhsic).pair(&x, &z, &mut Flags::new(x.device())).unwrap();
    let trace = |kernel: &Tensor| {
        let values = super::estimate::centre(kernel).linalg_eigvalsh("L");
        (&values / (&values + 1e-5 * M as f64)).sum(Kind::Double).double_value(&[])
    };
    let mean = trace(&pair.kernels[0].matrix) * trace(&pair.kernels[1].matrix) / (M - 1) as f64;
    let found = value(Estimator::Nhsic, &x, &z);
    assert!(found > mean && found < 1.1 * mean, "{found} {mean}");
}

/// Estimates from float32 rows equal those from float64 rows, up to the rounding of the squared distances.
#[test]
fn float32_is_enough_for_the_distances() {
    let x = images("images");
    let z = latents(&x);
    let double = |rows: &Tensor| rows.to_kind(Kind::Double);
    for estimator in [Estimator::Nhsic, Estimator::Hsic, Estimator::Renyi, Estimator::CkaUnbiased] {
        let penalty = penalty(estimator);
        let exact = value(estimator, &double(&x), &double(&z));
        let mut flags = Flags::new(x.device());
        let pair = penalty.pair(&x, &z, &mut flags).unwrap();
        let mut bound = 1e-12 * exact.abs();
        for (this, other, rows) in [(0, 1, &x), (1, 0, &z)] {
            let (_, kernel_gradient) =
                penalty.evaluate(&pair.kernels[other], &pair.kernels[this], &mut flags).unwrap();
            let distance_gradient = pair.kernels[this].distance_gradient(&kernel_gradient).abs();
            // u·√d·(‖a_i‖² + ‖a_j‖²) for each distance, see `CentredRows::squared_distances`, all of one sign.
            let norms = (rows - rows.mean_dim(0, true, Kind::Float)).square();
            let norms = norms.sum_dim_intlist(1, false, Kind::Double);
            let rounding = (norms.unsqueeze(0) + norms.unsqueeze(1)) * (rows.size()[1] as f64).sqrt();
            bound += f64::from(f32::EPSILON) * inner(&distance_gradient, &rounding).double_value(&[]);
        }
        let error = (value(estimator, &x, &z) - exact).abs();
        assert!(error <= bound, "{estimator:?}: {error} {bound}");
        // The bound itself is small.
        assert!(bound < 0.01 * exact.abs(), "{estimator:?}: {bound} {exact}");
    }
}
