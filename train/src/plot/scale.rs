//! Axes: what range they show and where their ticks are.

/// How values become lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long. Only values above 0 are shown.
    Log,
}

/// One axis of a panel. Its range is that of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// How values become lengths.
    pub scale: Scale,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear }
    }

    /// A logarithmic axis.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log }
    }
}

/// Where an axis begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// At the first and last value.
    Tight,
    /// At the ticks around them.
    Ticks,
}

/// An axis fitted to data.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fitted {
    scale: Scale,
    low: f64,
    high: f64,
    /// Values of the ticks inside the range, ascending, with their labels.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Whether a value has a place on the axis.
    pub(super) fn shows(self, value: f64) -> bool {
        value.is_finite() && (self == Self::Linear || value > 0.0)
    }

    /// Length along the axis, before it is fitted.
    fn length(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.log10(),
        }
    }
}

impl Fitted {
    /// Fits the scale to the values that it shows; without any, to [0, 1] or [1, 10].
    pub(super) fn new(scale: Scale, values: impl Iterator<Item = f64>, ends: Ends) -> Self {
        let shown = values.filter(|&value| scale.shows(value));
        let (low, high) = shown
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = widen(scale, low, high);
        let around = match scale {
            Scale::Linear => linear_ticks(low, high),
            Scale::Log => log_ticks(low, high),
        };
        let (low, high) = match (ends, &around[..]) {
            (Ends::Ticks, [first, .., last]) => (first.min(low), last.max(high)),
            _ => (low, high),
        };
        let inside = around.into_iter().filter(|tick| (low..=high).contains(tick));
        let inside: Vec<f64> = inside.collect();
        let places = match scale {
            Scale::Linear => decimals_apart(&inside),
            Scale::Log => 0,
        };
        let ticks = inside.into_iter().map(|tick| (tick, label(tick, places))).collect();
        Self { scale, low, high, ticks }
    }

    /// The place of a value that is shown: 0 at the low end, 1 at the high one.
    pub(super) fn place(&self, value: f64) -> f64 {
        let length = |value| self.scale.length(value);
        (length(value) - length(self.low)) / (length(self.high) - length(self.low))
    }
}

/// A range of some length, whatever was found.
fn widen(scale: Scale, low: f64, high: f64) -> (f64, f64) {
    match scale {
        // Nothing was found.
        Scale::Linear if low > high => (0.0, 1.0),
        Scale::Log if low > high => (1.0, 10.0),
        // One value, or so few digits apart that ticks could not be told apart.
        Scale::Linear if high - low <= 1e-5 * high.abs().max(low.abs()) => {
            let margin = if high == 0.0 { 1.0 } else { 0.5 * high.abs() };
            (low - margin, high + margin)
        }
        Scale::Log if high / low < 1.0 + 1e-5 => (low / 2.0, high * 2.0),
        _ => (low, high),
    }
}

/// Multiples of 1, 2 or 5 times a power of ten that reach around [low, high], about six of them.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    // The next larger one; the last is larger up to rounding.
    let step = step.into_iter().find(|&step| step >= rough * (1.0 - 1e-9)).unwrap_or(10.0 * power);
    // A bound that is a tick up to rounding needs no further tick.
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    let count = (last - first) as usize;
    (0..=count).map(|index| (first + index as f64) * step).collect()
}

/// Powers of ten that reach around [low, high], at most nine of them; within two decades their double and fivefold too.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = ((low.log10() + 1e-9).floor() as i32, (high.log10() - 1e-9).ceil() as i32);
    let stride = ((last - first) as usize / 8 + 1) as i32;
    let digits: &[f64] = if last - first <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let powers = (0..=(last - first + stride - 1) / stride).map(|index| first + index * stride);
    let all: Vec<f64> =
        powers.flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power))).collect();
    // Only the nearest ticks outside.
    let start = all.iter().rposition(|&tick| tick <= low * (1.0 + 1e-9)).unwrap_or(0);
    let end = all.iter().position(|&tick| tick >= high * (1.0 - 1e-9)).unwrap_or(all.len() - 1);
    all[start..=end].iter().copied().filter(|tick| tick.is_finite()).collect()
}

/// Digits behind the first one that the largest tick needs to differ from its neighbour.
fn decimals_apart(ticks: &[f64]) -> usize {
    let largest = ticks.iter().fold(0.0f64, |largest, tick| largest.max(tick.abs()));
    let nearest = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    // A quotient that is a power of ten up to rounding counts as one.
    let digits = (largest.log10().floor() - (nearest.log10() + 1e-9).floor()).max(0.0);
    digits as usize
}

/// A tick with at most so many digits behind the first one: plain from 0.0001 to below a million, with an exponent outside.
fn label(tick: f64, places: usize) -> String {
    if tick == 0.0 {
        return "0".to_owned();
    }
    let rounded = format!("{tick:.places$e}");
    let plain = (1e-4..1e6).contains(&tick.abs());
    match (plain, rounded.parse::<f64>(), rounded.split_once('e')) {
        (true, Ok(value), _) => value.to_string(),
        (_, _, Some((digits, exponent))) if digits.contains('.') => {
            format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => rounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, values: &[f64], ends: Ends) -> String {
        let fitted = Fitted::new(scale, values.iter().copied(), ends);
        fitted.ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_numbers() {
        for (values, wanted) in [
            (&[0.0, 1.0][..], "0 0.2 0.4 0.6 0.8 1"),
            (&[0.03, 0.97], "0 0.2 0.4 0.6 0.8 1"),
            (&[0.0, 3.32], "0 1 2 3 4"),
            (&[-2.0, 7.0], "-2 0 2 4 6 8"),
            (&[10.0, 85.0], "0 20 40 60 80 100"),
            (&[0.0, 312_000.0], "0 100000 200000 300000 400000"),
            (&[0.0, 3.0e7], "0 1e7 2e7 3e7"),
            (&[1e-5, 4.5e-5], "1e-5 2e-5 3e-5 4e-5 5e-5"),
            (&[1000.0, 1000.5], "1000 1000.1 1000.2 1000.3 1000.4 1000.5"),
            (&[7.0], "2 4 6 8 10 12"),
            (&[0.0], "-1 -0.5 0 0.5 1"),
            (&[], "0 0.2 0.4 0.6 0.8 1"),
            (&[f64::NAN, 0.0, f64::INFINITY, 1.0], "0 0.2 0.4 0.6 0.8 1"),
        ] {
            assert_eq!(labels(Scale::Linear, values, Ends::Ticks), wanted, "{values:?}");
        }
    }

    #[test]
    fn ticks_of_a_log_axis_are_powers_or_their_parts() {
        for (values, wanted) in [
            (&[0.03, 0.9][..], "0.02 0.05 0.1 0.2 0.5 1"),
            (&[1e-3, 1.0], "0.001 0.01 0.1 1"),
            (&[0.0, -3.0, 1e-3, 1.0], "0.001 0.01 0.1 1"),
            (&[1e-12, 1.0], "1e-12 1e-10 1e-8 1e-6 0.0001 0.01 1"),
            (&[3.0], "1 2 5 10"),
            (&[], "1 2 5 10"),
        ] {
            assert_eq!(labels(Scale::Log, values, Ends::Ticks), wanted, "{values:?}");
        }
    }

    #[test]
    fn a_tight_axis_ends_with_its_data() {
        let fitted = Fitted::new(Scale::Linear, [0.0, 45.0].into_iter(), Ends::Tight);
        assert_eq!(fitted.ticks.last().unwrap().1, "40");
        assert_eq!((fitted.place(0.0), fitted.place(9.0), fitted.place(45.0)), (0.0, 0.2, 1.0));
    }

    #[test]
    fn ratios_are_lengths_on_a_log_axis() {
        let fitted = Fitted::new(Scale::Log, [0.01, 100.0].into_iter(), Ends::Ticks);
        assert!((fitted.place(1.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn any_two_numbers_have_a_few_ticks() {
        for exponent in -300..300 {
            for scale in [Scale::Linear, Scale::Log] {
                let low = 1.37 * 10f64.powi(exponent);
                for factor in [1.0, 1.0 + 1e-12, 1.0001, 1.001, 3.0, 1e3, 1e8] {
                    let values = [low, low * factor].into_iter();
                    let ticks = Fitted::new(scale, values, Ends::Ticks).ticks;
                    assert!((2..=12).contains(&ticks.len()), "{scale:?} {low} {factor}: {ticks:?}");
                    let different = ticks.windows(2).all(|pair| pair[0].1 != pair[1].1);
                    assert!(different, "{scale:?} {low} {factor}: {ticks:?}");
                }
            }
        }
    }
}
