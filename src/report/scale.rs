//! Axes: positions of values, and round values for the labels.

/// The range of an axis, linear or logarithmic.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    /// Lengths and ranks come in powers of two; such an axis is labelled with them.
    octaves: bool,
}

impl Scale {
    /// An axis that holds all of `values` (those that it can show), with a margin of `pad` of its length.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, log: bool, pad: f64) -> Self {
        // Beyond this, the length of the axis itself would overflow.
        let shown = values.into_iter().filter(|value| value.abs() < 1e300 && (!log || *value > 1e-300));
        let (mut low, mut high) = shown
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = if log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        let octaves = log && low < high && is_octave(low) && is_octave(high);
        if log {
            let margin = if low == high { 2.0 } else { (high / low).powf(pad) };
            (low, high) = (low / margin, high * margin);
        } else {
            let margin = if low == high { (low.abs() * 0.1).max(0.5) } else { (high - low) * pad };
            // The margin must not extend the axis below zero.
            low = if low >= 0.0 { (low - margin).max(0.0) } else { low - margin };
            high += margin;
        }
        Self { low, high, log, octaves }
    }

    /// Its ends, and whether it is linear or logarithmic, as a page reads them.
    pub(super) fn words(&self) -> String {
        format!("{:e} {:e} {}", self.low, self.high, if self.log { "log" } else { "linear" })
    }

    /// The position of a value, from 0 to 1; `None` if it cannot be shown.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        (place.is_finite() && (-1e-9..=1.0 + 1e-9).contains(&place)).then_some(place)
    }

    /// The position of a value, or of the end of the axis that it is beyond; the lower end for NaN.
    pub(super) fn clamped(&self, value: f64) -> f64 {
        self.place(value).unwrap_or(if value > self.high { 1.0 } else { 0.0 })
    }

    /// Round values along the axis with their labels, about `max` of them.
    pub(super) fn ticks(&self, max: usize) -> Vec<(f64, String)> {
        let max = max.max(2);
        if !self.log {
            return self.linear(max);
        }
        let powers = |base: f64| {
            let from = (self.low.ln() / base.ln() - 1e-9).ceil() as i32;
            let to = (self.high.ln() / base.ln() + 1e-9).floor() as i32;
            let stride = ((to - from + 1).max(1) as usize).div_ceil(max);
            (from..=to).step_by(stride).map(move |power| base.powi(power)).collect::<Vec<_>>()
        };
        let decades = powers(10.0);
        let values = if self.octaves {
            powers(2.0)
        } else if decades.len() > 2 || self.high / self.low > 200.0 {
            decades
        } else {
            let first = self.low.log10().floor() as i32;
            let multiples =
                (first..first + 4).flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(power)));
            multiples.filter(|value| self.place(*value).is_some()).collect()
        };
        if values.len() < 2 {
            return self.linear(max);
        }
        values.into_iter().map(|value| (value, label(value))).collect()
    }

    fn linear(&self, max: usize) -> Vec<(f64, String)> {
        let raw = (self.high - self.low) / max as f64;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0].map(|m| m * power).into_iter().find(|step| *step >= raw);
        let step = step.unwrap_or(10.0 * power);
        let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        let from = (self.low / step - 1e-9).ceil();
        let count = ((self.high / step + 1e-9).floor() - from).clamp(0.0, 50.0) as usize;
        let large = self.low.abs().max(self.high.abs()) >= 1e6 || decimals > 5;
        (0..=count)
            .map(|index| (from + index as f64) * step)
            .map(|value| (value, if large { label(value) } else { format!("{value:.decimals$}") }))
            .collect()
    }
}

fn is_octave(value: f64) -> bool {
    value >= 1.0 && value.log2().fract() == 0.0
}

/// A round number in the usual notation: `0.02`, `512`, `10⁷`, `2·10⁻⁵`.
fn label(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) || (value.abs() < 2e6 && is_octave(value.abs())) {
        return format!("{}", (value * 1e6).round() / 1e6);
    }
    let text = format!("{value:.2e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let power: String = power
        .chars()
        .map(|c| match c.to_digit(10) {
            Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
            None => '⁻',
        })
        .collect();
    match digits {
        "1" => format!("10{power}"),
        "-1" => format!("-10{power}"),
        _ => format!("{digits}·10{power}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: [f64; 2], log: bool, max: usize) -> Vec<String> {
        Scale::over(values, log, 0.0).ticks(max).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn labels_are_round() {
        assert_eq!(labels([0.0, 1.0], false, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels([3.0, 97.0], false, 5), ["20", "40", "60", "80"]);
        assert_eq!(labels([64.0, 512.0], true, 8), ["64", "128", "256", "512"]);
        assert_eq!(labels([1.0, 4096.0], true, 7), ["1", "4", "16", "64", "256", "1024", "4096"]);
        assert_eq!(labels([1e-6, 1e7], true, 7), ["10⁻⁶", "10⁻⁴", "0.01", "1", "100", "10000", "10⁶"]);
        assert_eq!(labels([0.3, 7.0], true, 7), ["0.5", "1", "2", "5"]);
    }

    #[test]
    fn any_range_has_places_and_few_labels() {
        let ranges =
            [[0.0, 0.0], [f64::NAN, f64::INFINITY], [-1e299, 1e299], [1e16, 1e16 + 4.0], [-3.0, 5e-324]];
        for range in ranges {
            for log in [false, true] {
                let scale = Scale::over(range, log, 0.03);
                let ticks = scale.ticks(6);
                assert!(ticks.len() <= 52, "{range:?}");
                assert!(
                    scale.place(scale.low).is_some() && scale.place(scale.high).is_some(),
                    "{range:?} {log}"
                );
                assert_eq!(scale.place(f64::NAN), None);
            }
        }
    }
}
