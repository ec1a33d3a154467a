//! Notes on heads whose centred matrix is small beside the rounding of its entries.

use super::measured::Measured;
use crate::linalg::rounding::Rounding;
use crate::metric::Spectrum;

/// The share by which a centred effective rank may be off before a note says so.
const WORTH_SAYING: f64 = 0.01;

/// What a reader must know of centred figures that rounding makes, or moves.
pub(super) fn notes(measured: &[Measured]) -> Vec<String> {
    let spectra = measured.iter().map(|one| (one.spectra.centred.as_slice(), one.spectra.rounding));
    let all: Vec<State> = spectra.map(|(sigma, rounding)| state(sigma, rounding)).collect();
    let mut notes = Vec::new();
    let none = all.iter().filter(|state| matches!(state, State::None)).count();
    if none > 0 {
        notes.push(format!(
            "in {none} of {} matrices (heads by windows) all rows are equal but for the rounding of the entries: what is \
             left without the mean row has no rank, and its centred figures are missing",
            all.len()
        ));
    }
    let near: Vec<(f64, f64)> = all
        .iter()
        .filter_map(|state| if let State::Near(sum, rank) = state { Some((*sum, *rank)) } else { None })
        .collect();
    if !near.is_empty() {
        let (sum, rank) = near.iter().fold((0.0_f64, 0.0_f64), |(a, b), (c, d)| (a.max(*c), b.max(*d)));
        notes.push(format!(
            "in {} of {} matrices (heads by windows) the rows are so nearly equal that the rounding of the entries may move \
             centred figures: cum_l1 by up to {sum:.1e}, effective_rank by up to {:.0} %",
            near.len(),
            all.len(),
            100.0 * rank
        ));
    }
    notes
}

enum State {
    /// The figures stand.
    Sound,
    /// They may be off: `cum_l1` by this much, the effective rank by this share.
    Near(f64, f64),
    /// There are none.
    None,
}

fn state(sigma: &[f64], rounding: Rounding) -> State {
    let spectrum = Spectrum::rounded(sigma, (sigma.len(), sigma.len()), rounding);
    match (spectrum.of_sum(|all| all), spectrum.rounding_share()) {
        (Some(_), Some(share)) if effect(share, sigma.len()) > WORTH_SAYING => {
            State::Near(share, effect(share, sigma.len()))
        }
        (None, _) if sigma.len() > 1 => State::None,
        _ => State::Sound,
    }
}

/// The share by which an effective rank of `size` values may be off where `share` of their sum may be in other places:
/// the entropy of the shares moves by at most `share ln(size) + h(share)` (Fannes and Audenaert).
fn effect(share: f64, size: usize) -> f64 {
    if share <= 0.0 {
        return 0.0;
    }
    let share = share.min(0.5);
    let binary = -share * share.ln() - (1.0 - share) * (1.0 - share).ln();
    (share * (size.max(2) as f64).ln() + binary).exp() - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moving a share of a spectrum elsewhere changes its effective rank by no more than is said.
    #[test]
    fn the_effect_is_a_bound() {
        let rank = |sigma: &[f64]| {
            let all: f64 = sigma.iter().sum();
            (-sigma.iter().map(|s| s / all).filter(|p| *p > 0.0).map(|p| p * p.ln()).sum::<f64>()).exp()
        };
        for share in [1e-6, 1e-3, 0.05] {
            for size in [2, 16, 512] {
                let mut sigma = vec![0.0; size];
                sigma[0] = 1.0;
                let before = rank(&sigma);
                sigma[0] = 1.0 - share;
                sigma[1..].fill(share / (size - 1) as f64);
                let moved = rank(&sigma) / before - 1.0;
                assert!(moved <= effect(share, size) * (1.0 + 1e-9), "{share} {size}: {moved}");
                assert!(moved >= 0.5 * effect(share, size), "{share} {size}: {moved}");
            }
        }
        assert_eq!(effect(0.0, 512), 0.0);
    }
}
