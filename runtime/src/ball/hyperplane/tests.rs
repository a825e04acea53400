use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::random::Stream;
use crate::testing::{self, NORMS, key};

fn ball(norm: Norm) -> Ball {
    testing::ball(norm, 0.5)
}

/// The displacement and its length.
fn displacement(norm: Norm, slopes: &[f32], height: f64, point: &[f32]) -> (Vec<f32>, f32) {
    let mut out = vec![f32::NAN; point.len()];
    let ball = ball(norm);
    let length = ball.displacement_to_zero(ball.linear_function(slopes), height, point, &mut out);
    (out, length)
}

/// The same in `f64` by sorting, as the module page has it.
fn literal(norm: Norm, slopes: &[f32], height: f64, point: &[f32]) -> Vec<f64> {
    let turned: Vec<f64> =
        slopes.iter().map(|slope| f64::from(*slope).copysign(f64::from(*slope) * height)).collect();
    let room = |index: usize| {
        let value = point[index];
        f64::from(if turned[index] > 0.0 { value } else { 1.0 - value })
    };
    let speed = |index: usize| turned[index].abs();
    let mut order: Vec<usize> = (0..point.len()).filter(|index| speed(*index) > 0.0).collect();
    let rate = |index: usize| if norm == Norm::Linf { 1.0 } else { speed(index) };
    let mut distance = vec![0.0; point.len()];
    let mut missing = height.abs();
    if norm == Norm::L1 {
        order.sort_by(|left, right| speed(*right).total_cmp(&speed(*left)));
        for index in order {
            distance[index] = room(index).min(missing / speed(index));
            missing -= speed(index) * distance[index];
        }
    } else {
        order.sort_by(|left, right| (room(*left) / rate(*left)).total_cmp(&(room(*right) / rate(*right))));
        let mut slope: f64 = order.iter().map(|index| speed(*index) * rate(*index)).sum();
        let mut lambda = f64::INFINITY;
        for index in &order {
            // Where the next pixel meets the box later than the plane, those before it have met it and nobody else
            // does.
            if missing < slope * room(*index) / rate(*index) {
                lambda = missing / slope;
                break;
            }
            missing -= speed(*index) * room(*index);
            slope = order
                .iter()
                .skip_while(|other| *other != index)
                .skip(1)
                .map(|other| speed(*other) * rate(*other))
                .sum();
        }
        order.iter().for_each(|index| distance[*index] = room(*index).min(lambda * rate(*index)));
    }
    distance.iter().zip(&turned).map(|(distance, slope)| -distance * slope.signum()).collect()
}

fn length(norm: Norm, values: &[f64]) -> f64 {
    match norm {
        Norm::Linf => values.iter().fold(0.0, |largest, value| value.abs().max(largest)),
        Norm::L2 => values.iter().map(|value| value * value).sum::<f64>().sqrt(),
        Norm::L1 => values.iter().map(|value| value.abs()).sum(),
    }
}

/// `f32` holds a displacement to 6·10⁻⁸, and the rooms, slopes and heights that it is made of likewise. Squares below
/// 10⁻³⁶ are lost in it.
fn assert_agrees(norm: Norm, got: &(Vec<f32>, f32), want: &[f64], what: &str) {
    let size = length(norm, want);
    for (got, want) in got.0.iter().zip(want) {
        let gap = (f64::from(*got) - want).abs();
        assert!(gap <= 1e-6 * size.min(1.0), "{norm:?} {what}: {got}, want {want}");
    }
    assert!(
        (f64::from(got.1) - size).abs() <= 2e-6 * size + 1e-18,
        "{norm:?} {what}: {}, want {size}",
        got.1
    );
}

#[derive(Deserialize)]
struct Case {
    slopes: Vec<f32>,
    point: Vec<f32>,
    height: f64,
    linf: Vec<f64>,
    l2: Vec<f64>,
    l1: Vec<f64>,
}

#[test]
fn displacements_are_those_of_the_fixtures() {
    let text = include_str!("../../../../tests/fixtures/attack/plane.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 12);
    for (index, Case { slopes, point, height, linf, l2, l1 }) in cases.iter().enumerate() {
        for (norm, want) in [(Norm::Linf, linf), (Norm::L2, l2), (Norm::L1, l1)] {
            let got = displacement(norm, slopes, *height, point);
            assert_agrees(norm, &got, want, &format!("case {index}"));
        }
    }
}

fn random(image: usize, count: usize) -> (Vec<f32>, Vec<f32>) {
    let mut stream = Stream::new(&key(0, image, "test"));
    let (mut slopes, mut point) = (vec![0.0; count], vec![0.0; count]);
    stream.fill_normal(&mut slopes);
    stream.fill_uniform(&mut point);
    point.iter_mut().for_each(|value| *value = 0.5 + 0.5 * *value);
    (slopes, point)
}

fn capacity(slopes: &[f32], point: &[f32]) -> f64 {
    let lost = |(slope, value): (&f32, &f32)| {
        f64::from(slope.abs()) * f64::from(if *slope > 0.0 { *value } else { 1.0 - value })
    };
    slopes.iter().zip(point).map(lost).sum()
}

/// 3,072 pixels, of which many meet the box at the same distance, many start at its edge, and many have equal slopes.
#[test]
fn images_agree_with_sorting() {
    for (image, share) in [1e-4, 0.01, 0.1, 0.3, 0.6, 0.9, 0.999, 1.1].into_iter().enumerate() {
        for norm in NORMS {
            let (slopes, point) = random(image, 3072);
            let levels: Vec<f32> = point.iter().map(|value| (value * 8.0).round() / 8.0).collect();
            let ties: Vec<f32> = slopes.iter().map(|slope| (slope * 2.0).round() / 2.0).collect();
            let tiny: Vec<f32> = slopes.iter().map(|slope| slope.powi(7) * 1e-12).collect();
            for (slopes, point) in
                [(&slopes, &point), (&slopes, &levels), (&ties, &point), (&ties, &levels), (&tiny, &levels)]
            {
                let height = share * capacity(slopes, point);
                let got = displacement(norm, slopes, height, point);
                assert_agrees(norm, &got, &literal(norm, slopes, height, point), &format!("{image} {share}"));
            }
        }
    }
}

/// Each pixel meets the box twice as late as the one before, with a speed half as large: every pass of Newton's method
/// skips few lines, so that bisection has to finish.
#[test]
fn a_geometric_series_of_lines_ends() {
    let slopes: Vec<f32> = (0..100).map(|index| 0.5_f32.powi(index)).collect();
    let point: Vec<f32> = (0..100).map(|index| 0.5_f32.powi(100 - index)).collect();
    for norm in NORMS {
        for share in [0.1, 0.5, 0.9, 0.999] {
            let height = share * capacity(&slopes, &point);
            let got = displacement(norm, &slopes, height, &point);
            assert_agrees(norm, &got, &literal(norm, &slopes, height, &point), &format!("{share}"));
        }
    }
}

/// The first pixel cannot move and its part is small, so that the second step of Newton's method is short; on it the
/// second pixel meets the box and leaves the rest of the way to the slow third one.
#[test]
fn a_short_step_may_not_be_the_last() {
    let parts = [0.0009, 0.9, 0.0991];
    for (norm, slopes, stop) in
        [(Norm::Linf, parts, 0.1), (Norm::L2, parts.map(f32::sqrt), 0.1 * 0.9_f32.sqrt())]
    {
        let (point, height) = ([0.0, stop, 0.5], 0.09996);
        let got = displacement(norm, &slopes, height, &point);
        assert_agrees(norm, &got, &literal(norm, &slopes, height, &point), "short step");
    }
}

#[test]
fn what_has_no_direction_moves_nothing() {
    for norm in NORMS {
        assert_eq!(displacement(norm, &[0.0, -0.0, 0.0], 1.0, &[0.0, 0.5, 1.0]), (vec![0.0; 3], 0.0));
        assert_eq!(displacement(norm, &[1.0, -2.0], 0.0, &[0.5, 0.5]), (vec![0.0; 2], 0.0));
        assert_eq!(displacement(norm, &[1e-42, 0.0], 1.0, &[0.5, 0.5]), (vec![0.0; 2], 0.0));
    }
}

/// One pixel: to the zero where it is in the box, to the edge otherwise.
#[test]
fn one_pixel_by_hand() {
    struct Case {
        slope: f32,
        height: f64,
        point: f32,
        want: f32,
    }
    let cases = [
        Case { slope: 2.0, height: 0.5, point: 0.5, want: -0.25 },
        Case { slope: -2.0, height: 0.5, point: 0.5, want: 0.25 },
        Case { slope: 2.0, height: -0.5, point: 0.5, want: 0.25 },
        Case { slope: 2.0, height: 4.0, point: 0.75, want: -0.75 },
        Case { slope: 2.0, height: -1e30, point: 0.75, want: 0.25 },
        Case { slope: 2.0, height: 1.0, point: 0.0, want: 0.0 },
    ];
    for norm in NORMS {
        for Case { slope, height, point, want } in &cases {
            let (got, length) = displacement(norm, &[*slope], *height, &[*point]);
            assert!(
                (got[0] - want).abs() < 1e-7 && (length - want.abs()).abs() < 1e-7,
                "{norm:?} {slope} {height}: {got:?}"
            );
        }
    }
}

#[test]
fn dual_lengths_by_hand() {
    for (norm, want) in [(Norm::Linf, 7.0), (Norm::L2, 5.0), (Norm::L1, 4.0)] {
        assert_eq!(ball(norm).linear_function(&[3.0, 0.0, -4.0]).dual_norm(), want);
    }
}

#[test]
fn a_change_by_hand() {
    let slopes: Vec<f32> = (0..19).map(|index| index as f32).collect();
    let slopes = ball(Norm::L2).linear_function(&slopes);
    // Σ index · 0.5
    assert_eq!(slopes.change(&[0.25; 19], &[0.75; 19]), 171.0 / 2.0);
}

proptest! {
    /// Scaled logits have the same boundary.
    #[test]
    fn nothing_depends_on_the_scale_of_the_slopes(image in 0_usize..1000, share in 0.001_f64..1.2, power in -30_i32..30) {
        let (slopes, point) = random(image, 61);
        let factor = 2.0_f32.powi(power);
        let scaled: Vec<f32> = slopes.iter().map(|slope| slope * factor).collect();
        let height = share * capacity(&slopes, &point);
        for norm in NORMS {
            let want = displacement(norm, &slopes, height, &point);
            prop_assert_eq!(&displacement(norm, &scaled, height * f64::from(factor), &point), &want);
        }
    }

    #[test]
    fn displacements_reach_the_plane_and_stay_in_the_box(
        slopes in proptest::collection::vec(-3.0_f32..3.0, 37),
        point in proptest::collection::vec(0.0_f32..=1.0, 37),
        height in -20.0_f64..20.0,
    ) {
        for norm in NORMS {
            let (out, length) = displacement(norm, &slopes, height, &point);
            let turned: Vec<f32> = slopes.iter().map(|slope| slope * height.signum() as f32).collect();
            let lost: f64 = slopes.iter().zip(&out).map(|(slope, change)| f64::from(slope * change)).sum();
            let want = (-height).clamp(-capacity(&turned, &point), capacity(&turned, &point));
            prop_assert!((lost - want).abs() <= 1e-5, "{norm:?}: {lost}, want {want}");
            prop_assert!((f64::from(length) - ball(norm).distance(&[0.0; 37], &out)).abs() <= 1e-6 * f64::from(length));
            for (value, change) in point.iter().zip(&out) {
                prop_assert!((-6e-8..=1.0 + 1.2e-7).contains(&(value + change)), "{norm:?}: {value} {change}");
            }
        }
    }
}
