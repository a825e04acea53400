use proptest::prelude::*;

use super::*;
use crate::testing::{NORMS, ball, key};

fn stream() -> Stream {
    Stream::new(&key(0, 0, "test"))
}

#[test]
fn a_radius_must_be_finite_and_not_negative() {
    for epsilon in [f64::NAN, f64::INFINITY, -1e-9, 1e300] {
        assert!(
            Ball::new(&ThreatModel { norm: Norm::L2, epsilon, pixels: Pixels::Continuous }).is_err(),
            "{epsilon}"
        );
    }
}

#[test]
fn projections_by_hand() {
    struct Case {
        norm: Norm,
        epsilon: f64,
        centre: [f32; 2],
        point: [f32; 2],
        want: [f32; 2],
    }
    let cases = [
        Case { norm: Norm::Linf, epsilon: 0.25, centre: [0.5, 0.5], point: [0.9, 0.4], want: [0.75, 0.4] },
        // Ball first, then box: 0.9 + 0.25 leaves the box.
        Case { norm: Norm::Linf, epsilon: 0.25, centre: [0.9, 0.1], point: [1.5, -0.5], want: [1.0, 0.0] },
        // (0.3, 0.4) is 0.5 long: halved.
        Case { norm: Norm::L2, epsilon: 0.25, centre: [0.5, 0.5], point: [0.8, 0.9], want: [0.65, 0.7] },
        Case { norm: Norm::L2, epsilon: 0.5, centre: [0.5, 0.5], point: [0.5, 0.75], want: [0.5, 0.75] },
        // Shrunk to (1.1, 0.5), then cut to the box.
        Case { norm: Norm::L2, epsilon: 0.25, centre: [0.85, 0.5], point: [1.85, 0.5], want: [1.0, 0.5] },
        // (0.4, 0.1) loses 0.125 of each part, of which the second has less.
        Case { norm: Norm::L1, epsilon: 0.275, centre: [0.5, 0.5], point: [0.9, 0.4], want: [0.775, 0.5] },
        // (0.3, 0.2) loses 0.1 of each part.
        Case { norm: Norm::L1, epsilon: 0.3, centre: [0.5, 0.5], point: [0.2, 0.7], want: [0.3, 0.6] },
        // The box leaves 0.1 of the first part; the second keeps 0.2 of the budget.
        Case { norm: Norm::L1, epsilon: 0.3, centre: [0.9, 0.5], point: [1.9, 1.0], want: [1.0, 0.7] },
        Case { norm: Norm::L1, epsilon: 1.0, centre: [0.5, 0.5], point: [0.8, 0.1], want: [0.8, 0.1] },
        Case { norm: Norm::L1, epsilon: 1.0, centre: [0.1, 0.5], point: [-0.8, 0.1], want: [0.0, 0.1] },
        Case { norm: Norm::L1, epsilon: 0.0, centre: [0.5, 0.5], point: [0.9, 0.1], want: [0.5, 0.5] },
        Case { norm: Norm::Linf, epsilon: 0.0, centre: [0.5, 0.5], point: [0.9, 0.1], want: [0.5, 0.5] },
        Case { norm: Norm::L2, epsilon: 0.0, centre: [0.5, 0.5], point: [0.9, 0.1], want: [0.5, 0.5] },
    ];
    for Case { norm, epsilon, centre, mut point, want } in cases {
        ball(norm, epsilon).project(&centre, &mut point);
        for (got, want) in point.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{norm:?} {epsilon}: {point:?}, want {want:?}");
        }
    }
}

#[test]
fn steps_by_hand() {
    struct Case {
        norm: Norm,
        previous: [f32; 2],
        gradient: [f32; 2],
        momentum: f32,
        want: [f32; 2],
    }
    // Centre and point are (0.5, 0.5), the radius is 0.25, the step size 0.1.
    let cases = [
        Case {
            norm: Norm::Linf,
            previous: [0.5, 0.5],
            gradient: [3.0, -2.0],
            momentum: 1.0,
            want: [0.6, 0.4],
        },
        // sign(0) is 0.
        Case {
            norm: Norm::Linf,
            previous: [0.5, 0.5],
            gradient: [0.0, -0.0],
            momentum: 1.0,
            want: [0.5, 0.5],
        },
        // 0.75 of the step (0.1, 0) and 0.25 of the last move (0.08, -0.04).
        Case {
            norm: Norm::Linf,
            previous: [0.42, 0.54],
            gradient: [1.0, 0.0],
            momentum: 0.75,
            want: [0.595, 0.49],
        },
        Case {
            norm: Norm::L2,
            previous: [0.5, 0.5],
            gradient: [3.0, 4.0],
            momentum: 1.0,
            want: [0.56, 0.58],
        },
        Case { norm: Norm::L2, previous: [0.5, 0.5], gradient: [0.0, 0.0], momentum: 1.0, want: [0.5, 0.5] },
        Case {
            norm: Norm::L2,
            previous: [0.42, 0.54],
            gradient: [2.0, 0.0],
            momentum: 0.75,
            want: [0.595, 0.49],
        },
    ];
    for Case { norm, previous, gradient, momentum, want } in cases {
        let (centre, mut next) = (&[0.5, 0.5], [f32::NAN; 2]);
        let step = MomentumStep {
            centre,
            point: centre,
            previous: &previous,
            gradient: &gradient,
            step_size: 0.1,
            momentum,
        };
        ball(norm, 0.25).momentum_step(step, &mut next);
        for (got, want) in next.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{norm:?} {gradient:?}: {next:?}, want {want:?}");
        }
    }
}

#[test]
fn an_l1_step_with_momentum_changes_the_pixel_of_the_largest_slope() {
    // 0.75 of the step (0, -0.1) and 0.25 of the last move (0.08, -0.04); without a slope only the latter.
    for (gradient, want) in [([1.0, -2.0], [0.52, 0.415]), ([0.0, 0.0], [0.52, 0.49])] {
        let (centre, mut next) = (&[0.5, 0.5], [f32::NAN; 2]);
        let previous = &[0.42, 0.54];
        let step = MomentumStep {
            centre,
            point: centre,
            previous,
            gradient: &gradient,
            step_size: 0.1,
            momentum: 0.75,
        };
        ball(Norm::L1, 0.25).momentum_step(step, &mut next);
        for (got, want) in next.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{gradient:?}: {next:?}, want {want:?}");
        }
    }
}

#[test]
fn plain_steps_by_hand() {
    struct Case {
        norm: Norm,
        gradient: [f32; 4],
        density: f32,
        want: [f32; 4],
    }
    // Centre and point are 0.5, the radius is 0.25, the step size 0.12.
    let cases = [
        Case {
            norm: Norm::Linf,
            gradient: [3.0, -2.0, 0.0, -0.0],
            density: 0.0,
            want: [0.62, 0.38, 0.5, 0.5],
        },
        Case {
            norm: Norm::L2,
            gradient: [3.0, 0.0, -4.0, 0.0],
            density: 0.0,
            want: [0.572, 0.5, 0.404, 0.5],
        },
        Case { norm: Norm::L1, gradient: [3.0, -2.0, -4.0, 1.0], density: 0.0, want: [0.5, 0.5, 0.38, 0.5] },
        Case {
            norm: Norm::L1,
            gradient: [3.0, -2.0, -4.0, 1.0],
            density: 0.26,
            want: [0.56, 0.5, 0.44, 0.5],
        },
        Case {
            norm: Norm::L1,
            gradient: [3.0, -2.0, -4.0, 1.0],
            density: 1.0,
            want: [0.53, 0.47, 0.47, 0.53],
        },
        // Those that tie with the last one move too; zeros are none.
        Case { norm: Norm::L1, gradient: [1.0, -1.0, 1.0, 0.0], density: 0.0, want: [0.54, 0.46, 0.54, 0.5] },
        Case { norm: Norm::L1, gradient: [0.0, -1.0, 0.0, 0.0], density: 1.0, want: [0.5, 0.38, 0.5, 0.5] },
        Case { norm: Norm::L1, gradient: [0.0; 4], density: 1.0, want: [0.5; 4] },
    ];
    for Case { norm, gradient, density, want } in cases {
        let (centre, mut next) = (&[0.5; 4], [f32::NAN; 4]);
        let step = GradientStep { centre, point: centre, gradient: &gradient, step_size: 0.12, density };
        ball(norm, 0.25).gradient_step(step, &mut Scratch::default(), &mut next);
        for (got, want) in next.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{norm:?} {gradient:?} {density}: {next:?}, want {want:?}");
        }
    }
}

#[test]
fn a_scaled_ball_is_that_much_larger_and_stays_finite() {
    assert_eq!(ball(Norm::L1, 2.0).scaled(3.0), ball(Norm::L1, 6.0));
    assert_eq!(ball(Norm::L2, 2e38).scaled(3.0).epsilon(), f32::MAX);
}

#[test]
fn a_random_start_touches_the_sphere() {
    let centre = vec![0.5; 3072];
    let mut start = vec![0.0; 3072];
    for (norm, tolerance) in [(Norm::Linf, 1e-6), (Norm::L2, 1e-6), (Norm::L1, 1e-5)] {
        let ball = ball(norm, 0.1);
        ball.random_start(&centre, &mut stream(), &mut start);
        assert!((ball.distance(&centre, &start) - 0.1).abs() < tolerance, "{norm:?}");
    }
}

#[test]
fn random_points_of_linf_are_uniform_in_ball_and_box() {
    let centre = [vec![0.5; 2000], vec![1.0; 2000]].concat();
    let mut point = vec![0.0; 4000];
    ball(Norm::Linf, 0.1).random_point(&centre, &mut stream(), &mut point);
    let mut changes: Vec<f32> = point[..2000].iter().map(|value| value - 0.5).collect();
    changes.sort_by(f32::total_cmp);
    // Quantiles of 2000 uniform numbers lie within 1.63 / sqrt(2000) of their places with 99 % (Kolmogorov).
    for (rank, change) in changes.iter().enumerate() {
        assert!((change - (rank as f32 / 10_000.0 - 0.1)).abs() < 0.2 * 0.0365, "{rank}: {change}");
    }
    let edge = point[2000..].iter().filter(|value| **value == 1.0).count();
    assert!((900..1100).contains(&edge), "{edge}");
}

#[test]
fn what_lies_outside_is_not_contained() {
    let centre = [0.5, 1.0];
    for norm in NORMS {
        let ball = ball(norm, 0.1);
        // 0.6 of float32 lies 2·10⁻⁸ above 0.6.
        assert!(ball.contains(&centre, &[0.6_f32.next_down(), 1.0]));
        assert!(!ball.contains(&centre, &[0.6, 1.0]));
        assert!(ball.is_near(&centre, &[0.6, 1.0]));
        assert!(!ball.is_near(&centre, &[0.600_01, 1.0]));
        assert!(!ball.contains(&centre, &[0.5, 1.000_001]));
        assert!(!ball.contains(&centre, &[f32::NAN, 1.0]));
    }
}

/// The difference of two pixels in `(0.5, 1]` and a radius are whole numbers of 2⁻⁸⁰: integers decide.
fn is_inside_by_integers(clean: f32, value: f32, epsilon: f64) -> bool {
    let whole = |value: f64| (value * 2.0_f64.powi(80)) as i128;
    (whole(f64::from(clean)) - whole(f64::from(value))).abs() <= whole(epsilon)
}

#[test]
fn the_ends_of_a_pixel_are_the_last_float32_inside() {
    let mut noise = stream();
    for epsilon in [
        8.0 / 255.0,
        2.0 / 255.0,
        1.0 / 255.0,
        0.1,
        0.3,
        f64::from(0.1_f32),
        1e-7,
        0.002_614_396_065_473_534_3,
    ] {
        let ball = ball(Norm::Linf, epsilon);
        let mut centre = vec![0.0; 2000];
        noise.fill_uniform(&mut centre);
        centre.iter_mut().for_each(|value| *value = 0.75 + 0.2 * *value);
        for side in [-1.0_f32, 2.0] {
            let mut point = vec![side; 2000];
            ball.project(&centre, &mut point);
            assert!(ball.contains(&centre, &point), "{epsilon}");
            for (value, clean) in point.iter().zip(&centre).filter(|(value, _)| (0.5..1.0).contains(*value)) {
                assert!(is_inside_by_integers(*clean, *value, epsilon), "{clean} {value} {epsilon}");
                let next = if side > 0.0 { value.next_up() } else { value.next_down() };
                // The radius rounded down to float32 may cost one more.
                let after = if side > 0.0 { next.next_up() } else { next.next_down() };
                assert!(!is_inside_by_integers(*clean, after, epsilon), "{clean} {value} {epsilon}");
            }
        }
    }
}

#[test]
fn what_rounding_hides_decides_at_the_edge_of_the_ball() {
    // 0.5 - 1e-20 needs 66 bits: float64 rounds it to 0.5.
    let ball = ball(Norm::Linf, 0.5);
    assert!(
        ball.contains(&[0.5], &[1e-20]) && ball.contains(&[0.5], &[0.0]) && ball.contains(&[0.5], &[1.0])
    );
    assert!(ball.contains(&[1e-20], &[0.5]) && !ball.contains(&[1e-20], &[0.5_f32.next_up()]));
    let smaller = Ball::new(&ThreatModel {
        norm: Norm::Linf,
        epsilon: 0.5_f64.next_down(),
        pixels: Pixels::Continuous,
    })
    .unwrap();
    assert!(
        !smaller.contains(&[0.5], &[4e-17]),
        "0.5 - 4e-17 is more than 0.5 - 5.6e-17, to which float64 rounds it"
    );
}

fn pixels(count: usize) -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(0.0_f32..=1.0, count)
}

/// Pixels of which many lie on the edge of the box.
fn edgy_pixels(count: usize) -> impl Strategy<Value = Vec<f32>> {
    let pixel = prop_oneof![Just(0.0_f32), Just(1.0_f32), 0.0_f32..=1.0];
    proptest::collection::vec(pixel, count)
}

/// The slice loops once more without another instruction set: their results must be the same to the last bit.
mod baseline {
    use super::super::{MomentumStep, inside, unit_box};

    fn interval(value: f32, epsilon: f32, clean: f32) -> f32 {
        let (mut low, mut high) = ((clean - epsilon).max(0.0), (clean + epsilon).min(1.0));
        // Exact in f64 here: the pixels are no smaller than 10⁻⁴.
        if f64::from(clean) - f64::from(low) > f64::from(epsilon) {
            low = low.next_up();
        }
        if f64::from(high) - f64::from(clean) > f64::from(epsilon) {
            high = high.next_down();
        }
        value.max(low).min(high)
    }

    pub(super) fn linf(epsilon: f32, step: MomentumStep) -> Vec<f32> {
        let MomentumStep { centre, point, previous, gradient, step_size, momentum } = step;
        let next = |pixel: usize| {
            let (here, clean) = (point[pixel], centre[pixel]);
            let sign = if gradient[pixel] == 0.0 { 0.0 } else { gradient[pixel].signum() };
            let target = interval(here + step_size * sign, epsilon, clean);
            let mixed = here + (target - here) * momentum + (here - previous[pixel]) * (1.0 - momentum);
            interval(mixed, epsilon, clean)
        };
        (0..centre.len()).map(next).collect()
    }

    /// Sixteen partial sums, each over every sixteenth element; what is left over goes to the first.
    fn length(values: &[f32]) -> f32 {
        let mut sums = [0.0_f64; 16];
        for (index, value) in values.iter().enumerate() {
            let lane = if index < values.len() / 16 * 16 { index % 16 } else { 0 };
            sums[lane] += f64::from(*value) * f64::from(*value);
        }
        sums.iter().sum::<f64>().sqrt() as f32
    }

    fn pull(epsilon: f32, centre: &[f32], point: &[f32]) -> Vec<f32> {
        let change: Vec<f32> = point.iter().zip(centre).map(|(value, clean)| value - clean).collect();
        let scale = epsilon.min(length(&change)) / (length(&change) + 1e-12);
        change.iter().zip(centre).map(|(change, clean)| unit_box(clean + change * scale)).collect()
    }

    pub(super) fn l2(epsilon: f32, step: MomentumStep) -> Vec<f32> {
        let MomentumStep { centre, point, previous, gradient, step_size, momentum } = step;
        let rate = step_size / (length(gradient) + 1e-12);
        let stepped: Vec<f32> = point.iter().zip(gradient).map(|(here, slope)| here + slope * rate).collect();
        let target = pull(epsilon, centre, &stepped);
        let mix = |pixel: usize| {
            let here = point[pixel];
            here + (target[pixel] - here) * momentum + (here - previous[pixel]) * (1.0 - momentum)
        };
        let mixed: Vec<f32> = (0..centre.len()).map(mix).collect();
        let mut point = pull(epsilon, centre, &mixed);
        inside::pull_in(f64::from(epsilon), inside::Sum::L2, centre, &mut point);
        point
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let draw = |image: usize, count: usize| {
        let mut values = vec![0.0_f32; count];
        Stream::new(&key(1, image, "test")).fill_uniform(&mut values);
        values
    };
    for count in [1, 15, 16, 37, 3072, 3073] {
        let centre: Vec<f32> = draw(0, count).iter().map(|value| (0.5 + value).clamp(0.0, 1.0)).collect();
        let gradient: Vec<f32> =
            draw(1, count).iter().map(|v| if v.abs() < 0.2 { 0.0 } else { *v }).collect();
        for (norm, epsilon) in [(Norm::Linf, 0.1_f32), (Norm::L2, 0.5)] {
            let ball = ball(norm, f64::from(epsilon));
            let (mut point, mut previous, mut next) = (draw(2, count), draw(3, count), vec![0.0; count]);
            ball.project(&centre, &mut point);
            ball.project(&centre, &mut previous);
            let (centre, point, previous, gradient) = (&centre, &point, &previous, &gradient);
            let step = MomentumStep { centre, point, previous, gradient, step_size: 0.07, momentum: 0.75 };
            ball.momentum_step(step, &mut next);
            let want = match norm {
                Norm::Linf => baseline::linf(epsilon, step),
                _ => baseline::l2(epsilon, step),
            };
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&next), bits(&want), "{norm:?}, {count} pixels");
        }
    }
}

proptest! {
    #[test]
    fn every_step_stays_in_ball_and_box(
        centre in pixels(37),
        first in pixels(37),
        second in pixels(37),
        gradient in proptest::collection::vec(-1e3_f32..1e3, 37),
        epsilon in 0.0_f64..2.0,
        step_size in 0.0_f32..4.0,
    ) {
        let centre = &centre;
        for norm in NORMS {
            let ball = ball(norm, epsilon);
            let (mut point, mut previous, mut next) = (first.clone(), second.clone(), second.clone());
            ball.project(centre, &mut point);
            ball.project(centre, &mut previous);
            for momentum in [1.0, 0.75] {
                let (previous, gradient) = (&previous, &gradient);
                let step = MomentumStep { centre, point: &point, previous, gradient, step_size, momentum };
                ball.momentum_step(step, &mut next);
                prop_assert!(ball.contains(centre, &next), "{norm:?} {}", ball.distance(centre, &next));
            }
            for density in [0.0, 0.3, 1.0] {
                let step = GradientStep { centre, point: &point, gradient: &gradient, step_size, density };
                ball.gradient_step(step, &mut Scratch::default(), &mut next);
                prop_assert!(ball.contains(centre, &next), "{norm:?} {}", ball.distance(centre, &next));
            }
        }
    }

    /// Any point that is brought into the ball is inside it in real arithmetic, as a report says it: the distance that
    /// is recorded never exceeds epsilon, whatever the order in which it is added up.
    #[test]
    fn no_point_that_was_brought_in_lies_outside(
        centre in edgy_pixels(37),
        point in proptest::collection::vec(-0.2_f32..1.2, 37),
        epsilon in prop_oneof![Just(8.0 / 255.0), Just(0.1), Just(1.0 / 255.0), Just(0.5), 0.0_f64..2.0],
        seed in any::<u64>(),
    ) {
        for norm in NORMS {
            let ball = ball(norm, epsilon);
            let mut points = [point.clone(), vec![0.0; 37], vec![0.0; 37]];
            ball.project(&centre, &mut points[0]);
            ball.random_start(&centre, &mut Stream::new(&key(seed, 0, "test")), &mut points[1]);
            ball.random_point(&centre, &mut Stream::new(&key(seed, 1, "test")), &mut points[2]);
            for point in &points {
                let changes = point.iter().zip(&centre).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
                let forwards = match norm {
                    Norm::Linf => changes.fold(0.0, f64::max),
                    Norm::L2 => changes.map(|change| change * change).sum::<f64>().sqrt(),
                    Norm::L1 => changes.sum(),
                };
                prop_assert!(forwards <= epsilon, "{norm:?} {forwards} {epsilon}");
                prop_assert!(ball.contains(&centre, point) && ball.distance(&centre, point) <= epsilon);
            }
        }
    }

    /// Any point of the ball becomes levels of the ball: what is recorded never exceeds epsilon, and every pixel
    /// survives being stored in 8 bits.
    #[test]
    fn levels_stay_in_the_ball(
        levels in proptest::collection::vec(any::<u8>(), 37),
        point in proptest::collection::vec(-0.2_f32..1.2, 37),
        epsilon in prop_oneof![Just(8.0 / 255.0), Just(1.0 / 255.0), Just(0.1), Just(0.5), 0.004_f64..3.0],
    ) {
        let centre: Vec<f32> = levels.iter().map(|level| f32::from(*level) / 255.0).collect();
        for norm in NORMS {
            let ball = Ball::new(&ThreatModel { norm, epsilon, pixels: Pixels::EightBit }).unwrap();
            let mut inside = point.clone();
            ball.project(&centre, &mut inside);
            ball.snap(&centre, &mut inside);
            prop_assert!(ball.contains(&centre, &inside), "{norm:?} {}", ball.distance(&centre, &inside));
            prop_assert!(ball.distance(&centre, &inside) <= epsilon);
            for value in &inside {
                prop_assert_eq!(f32::from((255.0 * value).round() as u8) / 255.0, *value);
            }
            let again = inside.clone();
            ball.snap(&centre, &mut inside);
            prop_assert_eq!(&again, &inside, "levels are a fixed point");
        }
    }

    /// Of all points of both sets the projection is the closest: moving from it towards any other never lowers the
    /// distance to what was projected.
    #[test]
    fn the_l1_projection_is_the_closest_point(
        centre in edgy_pixels(37),
        point in proptest::collection::vec(-1.0_f32..2.0, 37),
        other in pixels(37),
        epsilon in 0.0_f64..8.0,
    ) {
        let ball = ball(Norm::L1, epsilon);
        let (mut projected, mut other) = (point.clone(), other);
        ball.project(&centre, &mut projected);
        ball.project(&centre, &mut other);
        prop_assert!(ball.distance(&centre, &projected) <= epsilon);
        prop_assert!(projected.iter().all(|value| (0.0..=1.0).contains(value)));
        let slope: f64 = (0..37)
            .map(|pixel| {
                let (from, to) = (f64::from(projected[pixel]), f64::from(other[pixel]));
                (from - f64::from(point[pixel])) * (to - from)
            })
            .sum();
        // Each of 37 terms may be off by a rounding of 1e-7 times a distance of up to 2, and the budget by 1e-6 of
        // itself.
        prop_assert!(slope > -1e-4, "{slope}");
    }

    #[test]
    fn a_projection_is_a_fixed_point(centre in pixels(19), mut point in pixels(19), epsilon in 0.0_f64..2.0) {
        for norm in NORMS {
            let ball = ball(norm, epsilon);
            ball.project(&centre, &mut point);
            let once = point.clone();
            ball.project(&centre, &mut point);
            for (once, twice) in once.iter().zip(&point) {
                prop_assert!((once - twice).abs() <= 1e-6);
            }
        }
    }
}
