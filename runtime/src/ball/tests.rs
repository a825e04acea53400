use proptest::prelude::*;

use super::*;
use crate::random::Key;

const NORMS: [Norm; 2] = [Norm::Linf, Norm::L2];

fn ball(norm: Norm, epsilon: f64) -> Ball {
    Ball::new(&ThreatModel { norm, epsilon }).unwrap()
}

fn stream() -> Stream {
    Stream::new(&Key { seed: 0, image: 0, attack: "test", target: None, restart: 0 })
}

#[test]
fn a_radius_must_be_finite_and_not_negative() {
    for epsilon in [f64::NAN, f64::INFINITY, -1e-9, 1e300] {
        assert!(Ball::new(&ThreatModel { norm: Norm::L2, epsilon }).is_err(), "{epsilon}");
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
    for Case { norm, mut previous, gradient, momentum, want } in cases {
        let centre = &[0.5, 0.5];
        let ascent = Ascent { centre, point: centre, gradient: &gradient, step_size: 0.1, momentum };
        ball(norm, 0.25).advance(ascent, &mut previous);
        for (got, want) in previous.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{norm:?} {gradient:?}: {previous:?}, want {want:?}");
        }
    }
}

#[test]
fn a_random_start_touches_the_sphere() {
    let centre = vec![0.5; 3072];
    let mut start = vec![0.0; 3072];
    for norm in NORMS {
        let ball = ball(norm, 0.1);
        ball.random_start(&centre, &mut stream(), &mut start);
        assert!((ball.distance(&centre, &start) - 0.1).abs() < 1e-6, "{norm:?}");
    }
}

#[test]
fn what_lies_outside_is_not_contained() {
    let centre = [0.5, 1.0];
    for norm in NORMS {
        let ball = ball(norm, 0.1);
        assert!(ball.contains(&centre, &[0.6, 1.0]));
        assert!(!ball.contains(&centre, &[0.600_01, 1.0]));
        assert!(!ball.contains(&centre, &[0.5, 1.000_001]));
        assert!(!ball.contains(&centre, &[f32::NAN, 1.0]));
    }
}

fn pixels(count: usize) -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(0.0_f32..=1.0, count)
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
        for norm in NORMS {
            let ball = ball(norm, epsilon);
            let (mut point, mut next) = (first.clone(), second.clone());
            ball.project(&centre, &mut point);
            ball.project(&centre, &mut next);
            for momentum in [1.0, 0.75] {
                let ascent =
                    Ascent { centre: &centre, point: &point, gradient: &gradient, step_size, momentum };
                ball.advance(ascent, &mut next);
                prop_assert!(ball.contains(&centre, &next), "{norm:?} {}", ball.distance(&centre, &next));
            }
        }
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
