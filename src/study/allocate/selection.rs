//! Which of several allocations of a budget is taken.

use super::judge::{Measured, WindowOf};
use super::plan::Choice;

/// Of the allocations of each budget the one that does the least harm on the windows to choose on, and all uniform choices;
/// with what was measured of them.
pub(super) fn selected(candidates: Vec<Choice>, tried: Vec<Measured>) -> (Vec<Choice>, Vec<Measured>) {
    let harm = |at: usize| -> f64 {
        tried.iter().filter(|one| one.of.choice == at).map(|one| one.drift.harm()).sum()
    };
    let is_best = |at: usize| {
        let budget = candidates[at].budget;
        let others = (0..candidates.len())
            .filter(|other| candidates[*other].chosen.is_some() && candidates[*other].budget == budget);
        others.min_by(|a, b| harm(*a).total_cmp(&harm(*b))) == Some(at)
    };
    let kept: Vec<usize> =
        (0..candidates.len()).filter(|at| candidates[*at].chosen.is_none() || is_best(*at)).collect();
    let renumbered = |one: Measured| {
        let choice = kept.iter().position(|at| *at == one.of.choice)?;
        Some(Measured { of: WindowOf { choice, ..one.of }, ..one })
    };
    let measured = tried.into_iter().filter_map(renumbered).collect();
    let choices = candidates.into_iter().enumerate();
    (choices.filter(|(at, _)| kept.contains(at)).map(|(_, choice)| choice).collect(), measured)
}

#[cfg(test)]
mod tests {
    use super::super::choose::Chosen;
    use super::super::plan::ALLOCATED;
    use super::*;
    use crate::study::allocation::Assignment;
    use crate::study::approx_error::Drift;

    #[test]
    fn the_allocation_that_does_the_least_harm_is_selected() {
        let choice = |budget: usize, least: Option<u64>, mechanism: Option<&str>| Choice {
            budget,
            name: mechanism.unwrap_or(ALLOCATED).into(),
            mechanism: mechanism.map(String::from),
            spent: 1,
            predicted: None,
            chosen: mechanism.is_none().then(|| Chosen { offers: vec![0], cost: 1, harm: 0.0, bound: 0.0 }),
            least,
            assignment: Assignment::exact((1, 1), 0),
        };
        let candidates = vec![
            choice(0, None, None),
            choice(0, Some(2), None),
            choice(0, None, Some("local")),
            choice(1, None, None),
            choice(1, Some(4), None),
        ];
        let errors = [[0.5, 0.1], [0.3, 0.2], [0.1, 0.1], [0.2, 0.2], [0.2, 0.2]];
        let tried = errors.iter().enumerate().flat_map(|(choice, errors)| {
            errors.iter().enumerate().map(move |(window, error)| Measured {
                of: WindowOf { judged: false, window, choice },
                drift: Drift { hidden_rel_fro: *error, hidden_cosine: 1.0, prediction: None },
            })
        });
        let (choices, measured) = selected(candidates, tried.collect());
        let found: Vec<_> = choices.iter().map(|one| (one.budget, one.least, one.name.as_str())).collect();
        // Squares are added over windows; of equal ones the first stays.
        assert_eq!(found, [(0, Some(2), "allocated"), (0, None, "local"), (1, None, "allocated")]);
        let of: Vec<_> = measured.iter().map(|one| (one.of.choice, one.drift.hidden_rel_fro)).collect();
        assert_eq!(of, [(0, 0.3), (0, 0.2), (1, 0.1), (1, 0.1), (2, 0.2), (2, 0.2)]);
    }
}
