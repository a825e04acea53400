use proptest::prelude::*;
use serde::Deserialize;

use super::eta::EtaPattern;
use super::eta_moves::WindowPair;
use super::square_window::{Window, tiles};
use super::*;
use crate::ball::linf::{highest, lowest};
use crate::testing::{NORMS, ball, key};

/// Square, with colours, neither square nor a multiple of five, and a table with three columns.
const SHAPES: [[usize; 3]; 5] = [[1, 28, 28], [3, 32, 32], [3, 7, 5], [2, 4, 9], [1, 1, 3]];

fn stream(seed: u64) -> Stream {
    Stream::new(&key(seed, 0, "test"))
}

fn shape([channels, height, width]: [usize; 3]) -> ImageShape {
    ImageShape { channels, height, width }
}

/// Uniform in `[low, high)`.
fn image(shape: ImageShape, low: f32, high: f32, noise: &mut Stream) -> Arc<[f32]> {
    let mut values = vec![0.0; shape.pixels()];
    noise.fill_uniform(&mut values);
    values.iter().map(|value| low + (high - low) * (0.5 + 0.5 * value)).collect()
}

#[test]
fn sides_are_those_of_the_reference() {
    // Square image, query from which the share holds, side for L∞, side for L2 and L1.
    let queries = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
    let cases = [
        (28, [25, 18, 13, 9, 6, 4, 3, 2], [25, 19, 13, 9, 7, 5, 3, 3]),
        (32, [29, 20, 14, 10, 7, 5, 4, 3], [29, 21, 15, 11, 7, 5, 5, 3]),
        (64, [57, 40, 29, 20, 14, 10, 7, 5], [57, 41, 29, 21, 15, 11, 7, 5]),
        (224, [200, 142, 100, 71, 50, 35, 25, 18], [201, 143, 101, 71, 51, 35, 25, 19]),
    ];
    for (extent, linf, other) in cases {
        for channels in [1, 3] {
            let image = shape([channels, extent, extent]);
            let sides = |norm| queries.map(|parts| ball(norm, 0.1).window_side(image, 0.8 / parts));
            assert_eq!(sides(Norm::Linf), linf, "{extent}");
            assert_eq!(sides(Norm::L2), other, "{extent}");
            assert_eq!(sides(Norm::L1), other, "{extent}");
        }
    }
    // Windows fit into the image, whatever its shape, and have a pixel, whatever the share.
    for norm in NORMS {
        assert_eq!(ball(norm, 0.1).window_side(shape([3, 2, 90]), 0.8), 2, "{norm:?}");
        assert_eq!(ball(norm, 0.1).window_side(shape([1, 1, 3]), 0.8), 1, "{norm:?}");
    }
    assert_eq!(ball(Norm::Linf, 0.1).window_side(shape([1, 9, 9]), 0.0), 1);
    assert_eq!(ball(Norm::L2, 0.1).window_side(shape([1, 9, 9]), 0.0), 3);
}

#[test]
fn tiles_lie_side_by_side_in_the_middle() {
    // Shape, side, first corner, rows and columns of tiles.
    let cases = [
        ([1, 28, 28], 5, (1, 1), (5, 5)),
        ([3, 32, 32], 6, (1, 1), (5, 5)),
        ([1, 64, 64], 12, (2, 2), (5, 5)),
        ([1, 224, 224], 44, (2, 2), (5, 5)),
        ([1, 10, 23], 2, (0, 0), (5, 11)),
        ([1, 3, 4], 1, (0, 0), (3, 4)),
    ];
    for (dimensions, side, (row, column), (rows, columns)) in cases {
        let tiles: Vec<Window> = tiles(shape(dimensions)).collect();
        assert_eq!(tiles.len(), rows * columns, "{dimensions:?}");
        assert_eq!(tiles[0], Window { row, column, side }, "{dimensions:?}");
        let last = Window { row: row + (rows - 1) * side, column: column + (columns - 1) * side, side };
        assert_eq!(tiles[tiles.len() - 1], last, "{dimensions:?}");
    }
}

#[test]
fn what_a_window_has_outside_of_another() {
    let image = shape([2, 7, 8]);
    let pixels = |window: Window, channel| window.rows(image, channel).flatten().collect::<Vec<usize>>();
    // Every pair of corners.
    for (first, second) in (0..30 * 30).map(|pair| (pair / 30, pair % 30)) {
        let window = |corner: usize| Window { row: corner / 6, column: corner % 6, side: 3 };
        let (first, second) = (window(first), window(second));
        for channel in 0..2 {
            let other = pixels(second, channel);
            let want: Vec<usize> =
                pixels(first, channel).into_iter().filter(|pixel| !other.contains(pixel)).collect();
            let got: Vec<usize> = first.rows_outside(second, image, channel).flatten().collect();
            assert_eq!(got, want, "{first:?} {second:?}");
        }
    }
}

#[derive(Deserialize)]
struct Fixtures {
    patterns: Vec<PatternCase>,
    moves: Vec<MoveCase>,
}

#[derive(Deserialize)]
struct PatternCase {
    norm: Norm,
    side: usize,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct MoveCase {
    norm: Norm,
    epsilon: f64,
    shape: [usize; 3],
    centre: Vec<f32>,
    best: Vec<f32>,
    side: usize,
    first: (usize, usize),
    second: (usize, usize),
    signs: Vec<f32>,
    transposed: bool,
    candidate: Vec<f32>,
}

/// Made by `scripts/reference/square_fixtures.py`.
fn fixtures() -> Fixtures {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/attack/square.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn length(norm: Norm) -> SummedNorm {
    if norm == Norm::L1 { SummedNorm::Absolute } else { SummedNorm::Euclidean }
}

#[test]
fn patterns_are_those_of_the_formula() {
    let cases = fixtures().patterns;
    assert_eq!(cases.len(), 14);
    for PatternCase { norm, side, values } in cases {
        let mut pattern = EtaPattern::with_room_for(side);
        pattern.set_side(side, length(norm));
        for (index, want) in values.iter().enumerate() {
            let (row, column) = (index / side, index % side);
            for got in [pattern.at(row, column, false), pattern.at(column, row, true)] {
                assert!((got - want).abs() < 1e-6, "{norm:?} {side} {index}: {got}, want {want}");
            }
        }
    }
}

#[test]
fn moves_are_those_of_the_formula() {
    let cases = fixtures().moves;
    assert_eq!(cases.len(), 10);
    for (number, case) in cases.into_iter().enumerate() {
        let context = WindowContext {
            ball: ball(case.norm, case.epsilon),
            image: shape(case.shape),
            centre: case.centre.as_slice().into(),
        };
        let window = |(row, column)| Window { row, column, side: case.side };
        let pair = WindowPair {
            first: window(case.first),
            second: window(case.second),
            transposed: case.transposed,
        };
        let mut eta = EtaMoves::new(length(case.norm), context.image);
        eta.set_pattern(case.side, case.signs.iter().copied());
        let total = eta.norm.sum(&case.centre, &case.best);
        let mut candidate = vec![f32::NAN; case.best.len()];
        eta.apply(&context, pair, &case.best, total, &mut candidate);
        for (pixel, (got, want)) in candidate.iter().zip(&case.candidate).enumerate() {
            // The projection on the L1 ball uses its radius up to a millionth.
            let tolerance = 1e-6 * (1.0 + case.epsilon as f32);
            assert!((got - want).abs() < tolerance, "move {number}, pixel {pixel}: {got}, want {want}");
        }
    }
}

/// Where the box is out of reach, the radius is used up.
#[test]
fn starts_and_candidates_touch_the_sphere() {
    for norm in NORMS {
        for dimensions in [[1, 28, 28], [3, 32, 32], [1, 3, 7]] {
            let (ball, image_shape, mut noise) = (ball(norm, 0.1), shape(dimensions), stream(1));
            let centre = image(image_shape, 0.4, 0.6, &mut noise);
            // L1 adds up what each pixel is rounded by, at most 2⁻²⁵ below 1, and shrinks by up to twice that.
            let rounding =
                if norm == Norm::L1 { 3.0 * image_shape.pixels() as f64 / f64::from(1 << 25) } else { 0.0 };
            let mut windows = WindowSearch::new(ball, image_shape, centre.clone(), &mut noise);
            for share in [1.0, 0.8, 0.2, 0.05, 0.0] {
                let distance = ball.distance(&centre, windows.candidate());
                assert!(
                    (distance - 0.1).abs() < 1e-6 + rounding,
                    "{norm:?} {dimensions:?} {share}: {distance}"
                );
                windows.draw(share, &mut noise);
                windows.accept();
            }
        }
    }
}

#[test]
fn linf_pixels_stay_at_the_ends_of_their_intervals_and_move_in_one_window() {
    let (ball, image_shape, mut noise) = (ball(Norm::Linf, 0.1), shape([3, 7, 9]), stream(2));
    let centre = image(image_shape, 0.0, 1.0, &mut noise);
    let mut windows = WindowSearch::new(ball, image_shape, centre.clone(), &mut noise);
    let start = windows.candidate().to_vec();
    let upwards = |point: &[f32], index: usize| {
        let ends = [lowest(ball.reach, centre[index]), highest(ball.reach, centre[index])];
        assert!(ends.contains(&point[index]), "{}: {}", centre[index], point[index]);
        point[index] == ends[1]
    };
    // [C, H, W]: a stripe has one sign from top to bottom.
    for index in (0..start.len()).filter(|index| index % 63 >= 9) {
        assert_eq!(upwards(&start, index), upwards(&start, index % 9 + index / 63 * 63), "{index}");
    }
    let mut moved = 0;
    for _ in 0..200 {
        windows.draw(0.2, &mut noise);
        let WindowMoves::Signs(SignMoves { window, .. }) = &windows.moves else {
            panic!("L∞ moves by signs")
        };
        // √(0.2 · 63) = 3.5, rounded to even.
        assert_eq!(window.side, 4);
        for channel in 0..3 {
            let inside: Vec<usize> = window.rows(image_shape, channel).flatten().collect();
            for index in &inside {
                assert_eq!(upwards(&windows.candidate, *index), upwards(&windows.candidate, inside[0]));
            }
            let outside = (channel * 63..(channel + 1) * 63).filter(|index| !inside.contains(index));
            for index in outside {
                assert_eq!(windows.candidate[index], start[index]);
            }
        }
        moved += usize::from(windows.candidate != start);
    }
    assert!(moved > 190, "{moved}");
}

fn any_norm() -> impl Strategy<Value = Norm> {
    prop_oneof![Just(Norm::Linf), Just(Norm::L2), Just(Norm::L1)]
}

fn any_epsilon() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1e-30), 0.0_f64..0.5, 0.0_f64..30.0, Just(1e4), Just(1e30), Just(3.4e38)]
}

proptest! {
    #[test]
    fn every_point_lies_in_ball_and_box(
        norm in any_norm(),
        epsilon in any_epsilon(),
        dimensions in 0..SHAPES.len(),
        // Black, white and grey images, where all pixels round alike, and all between.
        low in prop_oneof![Just(0.0_f32), Just(1.0), 0.0_f32..1.0],
        contrast in prop_oneof![Just(0.0_f32), 0.0_f32..1.0],
        seed in any::<u64>(),
        moves in proptest::collection::vec((0.0_f64..1.0, any::<bool>()), 8),
    ) {
        let (ball, image_shape, mut noise) = (ball(norm, epsilon), shape(SHAPES[dimensions]), stream(seed));
        let centre = image(image_shape, low, low + contrast * (1.0 - low), &mut noise);
        let mut windows = WindowSearch::new(ball, image_shape, centre.clone(), &mut noise);
        prop_assert!(ball.contains(&centre, windows.candidate()), "start: {}", ball.distance(&centre, &windows.best));
        for (share, accepted) in moves {
            let differs = windows.draw(share * share, &mut noise);
            prop_assert!(ball.contains(&centre, windows.candidate()), "{}", ball.distance(&centre, windows.candidate()));
            prop_assert_eq!(differs, windows.candidate != windows.best);
            if accepted {
                windows.accept();
                prop_assert_eq!(&windows.candidate, &windows.best);
            }
            if let WindowMoves::Eta { eta, best, .. } = &windows.moves {
                prop_assert_eq!(*best, eta.norm.sum(&centre, &windows.best));
            }
        }
    }
}
