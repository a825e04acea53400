//! What each estimator sees of a dependence that is as strong as can be, on data like those of a training step.
//!
//! Images are sums of smooth noise: for each of the sizes 1, 2, 4, 8, 16 and 32 a grid of standard normal numbers, enlarged
//! bilinearly to 32×32: equal power in each octave, as natural images have it (their power falls as 1/f² in two
//! dimensions, Field 1987). The channels share 0.9 of their variance; mean 0.5, deviation 0.25, cut off at 0 and 1.
//! Latents are one random linear map of the same images ("dependent") or of other images ("independent"), every row
//! scaled to mean 0 and variance 1 as by a final LayerNorm.
//!
//! On 128 real CIFAR-10 test images under the same map to 12,480 columns (ViT-T: 65 tokens of 192), dependent and
//! independent: `nhsic` 41.0 and 37.9, `hsic` 9.9e-6 and 5.9e-7, `renyi` 5.08 and 5.00, `cka_unbiased` 0.968 and −0.014.

use tch::{Kind, Tensor};

use super::estimate::inner;
use super::testing::normal;
use super::{Estimator, Penalty, PenaltyConfig, PenaltyOutcome};

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
    match penalty(estimator).loss(x, z).unwrap() {
        PenaltyOutcome::Value(loss) => loss.value,
        PenaltyOutcome::Skipped(reason) => panic!("{estimator:?}: {reason}"),
    }
}

#[test]
fn dependent_and_independent_features() {
    let x = images("images");
    let (dependent, independent) = (latents(&x), latents(&images("others")));
    let small = &independent * 0.1;
    let noise = normal("noise", &[M, COLUMNS]);
    let values = |estimator| [&dependent, &independent, &small, &noise].map(|z| value(estimator, &x, z));

    // Nearly blind to dependence; what it sees is the spread of z.
    let [dependent, independent, small, noise] = values(Estimator::Nhsic);
    assert!((dependent / independent - 1.0).abs() < 0.05, "{dependent} {independent}");
    assert!(small < 0.25 * independent, "{small} {independent}");
    assert!(noise > dependent, "{noise} {dependent}");

    // Sees both.
    let [dependent, independent, small, _] = values(Estimator::Hsic);
    assert!(dependent > 5.0 * independent, "{dependent} {independent}");
    assert!(small < 0.02 * independent, "{small} {independent}");

    // Nearly blind too: with kernels as narrow as the tenth neighbour, the joint entropy is close to its largest,
    // log2(m) = 7 bits, whatever the dependence. The width follows the spread.
    let [dependent, independent, small, _] = values(Estimator::Renyi);
    assert!((dependent / independent - 1.0).abs() < 0.05, "{dependent} {independent}");
    assert!((small - independent).abs() < 1e-4, "{small} {independent}");

    // Sees dependence alone. Over random orders, the cosine has mean 0 and variance close to 2/(m(m − 3)), as for
    // directions drawn uniformly: 0.05 is four and a half standard deviations.
    let [dependent, independent, small, noise] = values(Estimator::CkaUnbiased);
    assert!(dependent >= 0.9, "{dependent}");
    assert!(independent.abs() <= 0.05 && noise.abs() <= 0.05, "{independent} {noise}");
    assert!((small - independent).abs() < 1e-4, "{small} {independent}");
}

/// Over all orders of the samples, the mean of tr(R_x R_z) is exactly tr R_x · tr R_z / (m − 1), because both map the
/// constant vector to 0: that is the value for independent samples of that spread, and all a value says beyond it is
/// dependence.
#[test]
fn nhsic_of_dependent_samples_is_close_to_its_mean_over_all_orders() {
    let x = images("images");
    let z = latents(&x);
    let pair = penalty(Estimator::Nhsic).pair(&x, &z).unwrap();
    let trace = |kernel: &Tensor| {
        let values = super::estimate::centre(kernel).linalg_eigvalsh("L");
        (&values / (&values + 1e-5 * M as f64)).sum(Kind::Double).double_value(&[])
    };
    let mean = trace(&pair.kernels[0].matrix) * trace(&pair.kernels[1].matrix) / (M - 1) as f64;
    let found = value(Estimator::Nhsic, &x, &z);
    assert!(found > mean && found < 1.1 * mean, "{found} {mean}");
}

/// float32 rows give the value of float64 rows up to the rounding of their distances.
#[test]
fn float32_is_enough_for_the_distances() {
    let x = images("images");
    let z = latents(&x);
    let double = |rows: &Tensor| rows.to_kind(Kind::Double);
    for estimator in [Estimator::Nhsic, Estimator::Hsic, Estimator::Renyi, Estimator::CkaUnbiased] {
        let penalty = penalty(estimator);
        let exact = value(estimator, &double(&x), &double(&z));
        let pair = penalty.pair(&x, &z).unwrap();
        let mut bound = 1e-12 * exact.abs();
        for (this, other, rows) in [(0, 1, &x), (1, 0, &z)] {
            let (_, kernel_gradient) = penalty.evaluate(&pair.kernels[other], &pair.kernels[this]).unwrap();
            let distance_gradient = pair.kernels[this].distance_gradient(&kernel_gradient).abs();
            // u·√d·(‖a_i‖² + ‖a_j‖²) for each distance, see `CentredRows::squared_distances`, all of one sign.
            let norms = (rows - rows.mean_dim(0, true, Kind::Float)).square();
            let norms = norms.sum_dim_intlist(1, false, Kind::Double);
            let rounding = (norms.unsqueeze(0) + norms.unsqueeze(1)) * (rows.size()[1] as f64).sqrt();
            bound += f64::from(f32::EPSILON) * inner(&distance_gradient, &rounding).double_value(&[]);
        }
        let error = (value(estimator, &x, &z) - exact).abs();
        assert!(error <= bound, "{estimator:?}: {error} {bound}");
        // And the bound itself is small.
        assert!(bound < 0.01 * exact.abs(), "{estimator:?}: {bound} {exact}");
    }
}
