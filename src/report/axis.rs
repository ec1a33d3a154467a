//! The horizontal axis of a plot in text.

use super::scale::Scale;

/// The axis, `cols` characters wide after a margin, and its labels below.
pub(super) fn horizontal(x: &Scale, margin: usize, cols: usize) -> String {
    let mut axis: Vec<char> = vec!['─'; cols];
    let mut labels = String::new();
    for (value, label) in x.ticks(cols / 7) {
        let Some(place) = x.place(value) else { continue };
        let place = ((place * cols as f64) as usize).min(cols - 1);
        let length = label.chars().count();
        let start = place.saturating_sub(length / 2).min(cols.saturating_sub(length));
        let used = labels.chars().count();
        if used == 0 || start > used {
            axis[place] = '┬';
            labels += &(" ".repeat(start - used) + &label);
        }
    }
    let axis: String = axis.into_iter().collect();
    format!("{:margin$} └{axis}\n{:margin$}  {labels}\n", "", "")
}
