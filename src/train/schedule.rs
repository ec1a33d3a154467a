//! Learning rate schedules.

use crate::name::{Params, Spec};
use crate::{Result, name};

/// The learning rate after warm-up, during which it grows linearly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// It stays the same.
    Constant,
    /// Half a cosine, down to 0 at the last step (Loshchilov and Hutter 2017).
    Cosine,
    /// Proportional to 1 / sqrt(step) (Vaswani et al. 2017).
    InverseSquareRoot,
    /// Linear, down to 0 at the last step.
    Linear,
}

/// One line of the list.
#[derive(Debug)]
pub struct ScheduleKind {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    schedule: Schedule,
}

/// Every schedule.
pub const ALL: &[ScheduleKind] = &[
    ScheduleKind {
        name: "cosine",
        about: "half a cosine, down to 0 at the last step",
        schedule: Schedule::Cosine,
    },
    ScheduleKind {
        name: "inverse-sqrt",
        about: "proportional to 1 / sqrt(step), as in Vaswani et al. 2017",
        schedule: Schedule::InverseSquareRoot,
    },
    ScheduleKind { name: "linear", about: "linear, down to 0 at the last step", schedule: Schedule::Linear },
    ScheduleKind { name: "constant", about: "the same after warm-up", schedule: Schedule::Constant },
];

impl Schedule {
    /// The schedule of that name; an unknown one answers with the list.
    pub fn find(name: &str) -> Result<Self> {
        let none = Spec { name: name.to_string(), params: Vec::new() };
        let kind = name::find("schedule", &none.name, ALL, |kind| kind.name)?;
        let _: Params<'_> = none.params("schedule", &[])?;
        Ok(kind.schedule)
    }

    /// The factor on the learning rate at this step (from 0) of `steps`, of which the first `warm_up` are warm-up.
    pub fn factor(self, step: usize, steps: usize, warm_up: usize) -> f64 {
        if step < warm_up {
            return (step + 1) as f64 / warm_up as f64;
        }
        let after = (step - warm_up) as f64;
        let share = after / (steps.saturating_sub(warm_up)).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos()),
            Self::InverseSquareRoot => ((warm_up.max(1)) as f64 / (step + 1) as f64).sqrt().min(1.0),
            Self::Linear => (1.0 - share).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_grows_first_and_never_afterwards() {
        for kind in ALL {
            let schedule = Schedule::find(kind.name).unwrap();
            let factors: Vec<f64> = (0..100).map(|step| schedule.factor(step, 100, 10)).collect();
            assert!((factors[0] - 0.1).abs() < 1e-12 && (factors[9] - 1.0).abs() < 1e-12, "{}", kind.name);
            assert!(factors[9..].windows(2).all(|pair| pair[1] <= pair[0] + 1e-12), "{}", kind.name);
            assert!(factors.iter().all(|factor| *factor > 0.0 && *factor <= 1.0), "{}", kind.name);
        }
        assert!((Schedule::InverseSquareRoot.factor(39, 100, 10) - 0.5).abs() < 1e-12);
        assert!((Schedule::Cosine.factor(55, 100, 10) - 0.5).abs() < 1e-12);
        let error = Schedule::find("cosin").unwrap_err().to_string();
        assert!(error.contains("cosine"), "{error}");
    }
}
