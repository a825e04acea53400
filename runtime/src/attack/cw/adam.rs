//! Adam (Kingma and Ba, ICLR 2015) in the variable `w` of `x = (tanh w + 1) / 2`.

use multiversion::multiversion;

use super::tanh::tanh;

/// How far from the edges of the box, in `[-1, 1]`, a start is: the tangent has no slope there.
const INSIDE: f64 = 0.9999;
const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const TINY: f32 = 1e-8;

/// An iterate, with the moments of its gradients.
#[derive(Debug)]
pub(super) struct Adam {
    learning_rate: f32,
    start: Vec<f32>,
    /// `w`
    variable: Vec<f32>,
    /// `x`
    point: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    /// Powers of the decays.
    powers: [f64; 2],
}

impl Adam {
    /// At the clean image, as near as there is a `w`.
    pub(super) fn new(clean: &[f32], learning_rate: f64) -> Self {
        let unbounded = |pixel: &f32| libm::atanh((2.0 * f64::from(*pixel) - 1.0) * INSIDE) as f32;
        let start: Vec<f32> = clean.iter().map(unbounded).collect();
        let (variable, zeros) = (start.clone(), vec![0.0; start.len()]);
        let mut adam = Self {
            learning_rate: learning_rate as f32,
            start,
            variable,
            point: zeros.clone(),
            first: zeros.clone(),
            second: zeros,
            powers: [1.0; 2],
        };
        points(&adam.variable, &mut adam.point);
        adam
    }

    /// Where the model is asked, in the box.
    pub(super) fn point(&self) -> &[f32] {
        &self.point
    }

    /// One step down `‖x - clean‖² - weight·m`, where `gradient` is that of `m` by `x`.
    pub(super) fn step(&mut self, clean: &[f32], gradient: &[f32], weight: f64) {
        self.powers = [self.powers[0] * FIRST_DECAY, self.powers[1] * SECOND_DECAY];
        let rates = [self.learning_rate / (1.0 - self.powers[0]) as f32, 1.0 / (1.0 - self.powers[1]) as f32];
        let slopes = Slopes { clean, gradient, weight, point: &self.point };
        descend(&slopes, rates, &mut self.first, &mut self.second, &mut self.variable);
        points(&self.variable, &mut self.point);
    }

    /// Back to the start, without moments.
    pub(super) fn restart(&mut self) {
        self.variable.copy_from_slice(&self.start);
        self.forget();
    }

    /// Half of the way to the start, without moments.
    pub(super) fn go_back(&mut self) {
        super::go_half_way(&mut self.variable, &self.start);
        self.forget();
    }

    fn forget(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.powers = [1.0; 2];
        points(&self.variable, &mut self.point);
    }
}

/// What the gradient of the objective is made of.
struct Slopes<'a> {
    clean: &'a [f32],
    gradient: &'a [f32],
    weight: f64,
    point: &'a [f32],
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn points(variable: &[f32], point: &mut [f32]) {
    for (pixel, variable) in point.iter_mut().zip(variable) {
        *pixel = f32::midpoint(tanh(*variable), 1.0).clamp(0.0, 1.0);
    }
}

/// `dx/dw = (1 - tanh²w) / 2 = 2·x·(1 - x)`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn descend(
    slopes: &Slopes<'_>,
    [rate, correction]: [f32; 2],
    first: &mut [f32],
    second: &mut [f32],
    variable: &mut [f32],
) {
    let count = variable.len();
    let Slopes { clean, gradient, weight, point } = slopes;
    let (clean, gradient, point) = (&clean[..count], &gradient[..count], &point[..count]);
    let (first, second) = (&mut first[..count], &mut second[..count]);
    let [first_decay, second_decay] = [FIRST_DECAY as f32, SECOND_DECAY as f32];
    for index in 0..count {
        let pixel = point[index];
        let rise = (weight * f64::from(gradient[index])) as f32;
        let slope = (2.0 * (pixel - clean[index]) - rise) * 2.0 * pixel * (1.0 - pixel);
        first[index] = first_decay * first[index] + (1.0 - first_decay) * slope;
        second[index] = second_decay * second[index] + (1.0 - second_decay) * slope * slope;
        variable[index] -= rate * first[index] / ((second[index] * correction).sqrt() + TINY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The update of the paper in float64, against it.
    #[test]
    fn steps_are_those_of_the_formulae() {
        let (clean, gradient) = ([0.3_f32, 0.9], [[2.0_f32, -1.0], [0.5, -3.0], [-1.0, 0.0]]);
        let mut adam = Adam::new(&clean, 0.01);
        let mut wanted = clean.map(|pixel| libm::atanh((2.0 * f64::from(pixel) - 1.0) * INSIDE));
        let (mut first, mut second) = ([0.0_f64; 2], [0.0_f64; 2]);
        for (step, gradient) in gradient.iter().enumerate() {
            adam.step(&clean, gradient, 0.25);
            for pixel in 0..2 {
                let tangent = libm::tanh(wanted[pixel]);
                let x = f64::midpoint(tangent, 1.0);
                let by_x = 2.0 * (x - f64::from(clean[pixel])) - 0.25 * f64::from(gradient[pixel]);
                let slope = by_x * (1.0 - tangent * tangent) / 2.0;
                first[pixel] = 0.9 * first[pixel] + 0.1 * slope;
                second[pixel] = 0.999 * second[pixel] + 0.001 * slope * slope;
                let count = step as i32 + 1;
                let mean = first[pixel] / (1.0 - 0.9_f64.powi(count));
                let spread = (second[pixel] / (1.0 - 0.999_f64.powi(count))).sqrt();
                wanted[pixel] -= 0.01 * mean / (spread + 1e-8);
                let found = f64::from(adam.point()[pixel]);
                let want = f64::midpoint(libm::tanh(wanted[pixel]), 1.0);
                assert!((found - want).abs() < 1e-5, "step {step}: {found}, wanted {want}");
            }
        }
        adam.restart();
        let start = adam.point().to_vec();
        assert!(start.iter().zip(clean).all(|(found, clean)| (found - clean).abs() < 1e-4), "{start:?}");
        assert_eq!(start, Adam::new(&clean, 0.01).point());
    }

    #[test]
    fn edges_of_the_box_can_be_left() {
        let clean = [0.0, 1.0];
        let mut adam = Adam::new(&clean, 0.1);
        for _ in 0..100 {
            adam.step(&clean, &[1.0, -1.0], 10.0);
        }
        let point = adam.point();
        assert!(point[0] > 0.5 && point[1] < 0.5, "{point:?}");
    }
}
