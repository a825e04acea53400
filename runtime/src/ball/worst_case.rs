//! The worst case of a linear function in the intersection of ball and box.

use mimir_bundle::{Norm, ThreatModel};

/// The most by which a linear function of the pixels can fall within the threat model around `image`, `[D]`: of slope
/// `weight(i)` in pixel `i`.
///
/// Exact for L∞. For L2 and L1 the box is left aside: exact where the worst point lies inside it, otherwise too large.
pub fn largest_decrease(threat_model: &ThreatModel, image: &[f32], weight: impl Fn(usize) -> f64) -> f64 {
    let epsilon = threat_model.epsilon;
    let weights = || (0..image.len()).map(&weight);
    match threat_model.norm {
        Norm::Linf => {
            let pixels = image.iter().map(|value| f64::from(*value));
            pixels.zip(weights()).map(|(value, weight)| pixel_decrease(weight, value, epsilon)).sum()
        }
        Norm::L2 => epsilon * weights().map(|weight| weight.powi(2)).sum::<f64>().sqrt(),
        Norm::L1 => epsilon * weights().map(f64::abs).fold(0.0, f64::max),
    }
}

/// How far one pixel can lower `weight · value` within ε and the box.
fn pixel_decrease(weight: f64, value: f64, epsilon: f64) -> f64 {
    let room = if weight > 0.0 { value } else { 1.0 - value };
    weight.abs() * epsilon.min(room)
}
