//! Colours that are distinguishable for colour-blind readers, in grey, and in a legend.

/// A colour as red, green, blue.
pub(super) type Rgb = (u8, u8, u8);

/// Okabe and Ito's eight, less yellow (too pale for a line on white), the darker first.
const LINES: [Rgb; 7] =
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0)];

/// Viridis at nine equal steps: its lightness rises evenly, so that order survives in grey.
const RAMP: [Rgb; 9] = [
    (68, 1, 84),
    (71, 45, 123),
    (59, 82, 139),
    (44, 114, 142),
    (33, 145, 140),
    (40, 174, 128),
    (94, 201, 98),
    (173, 220, 48),
    (253, 231, 37),
];

/// How many colours of lines there are.
pub(super) const COLOURS: usize = LINES.len();

/// The colour of lines of a number; the colours repeat.
pub(super) fn line(number: usize) -> Rgb {
    LINES[number % COLOURS]
}

/// The colour of a value between 0 (dark) and 1 (light).
pub(super) fn ramp(share: f64) -> Rgb {
    // NaN counts as 0.
    let share = if share.is_nan() { 0.0 } else { share };
    let place = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let step = (place.floor() as usize).min(RAMP.len() - 2);
    let rest = place - step as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * rest).round() as u8;
    let (low, high) = (RAMP[step], RAMP[step + 1]);
    (mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
}

/// The colour of a transparent band on white.
pub(super) fn tint((red, green, blue): Rgb) -> Rgb {
    let pale = |part: u8| (255.0 - (255.0 - f64::from(part)) * 0.2).round() as u8;
    (pale(red), pale(green), pale(blue))
}

/// Whether white text reads better than black on this colour.
pub(super) fn is_dark((red, green, blue): Rgb) -> bool {
    0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue) < 130.0
}

/// The colour as CSS writes it.
pub(super) fn css((red, green, blue): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_grows_lighter_all_the_way() {
        let light = |(r, g, b): Rgb| 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
        let steps: Vec<u32> = (0..=100).map(|step| light(ramp(f64::from(step) / 100.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(ramp(f64::NAN), ramp(0.0));
        assert_eq!(ramp(7.0), (253, 231, 37));
    }
}
