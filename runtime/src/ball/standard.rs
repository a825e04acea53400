//! What AutoAttack's standard evaluation runs APGD with, norm by norm.

use mimir_bundle::Norm;
use mimir_bundle::attack::RadiusSchedule;

/// Parameters of APGD that depend on the norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardApgd {
    /// Radii of the balls that a run moves through.
    pub radius_schedule: RadiusSchedule,
    /// Runs on the cross entropy, from independent random starts.
    pub restarts: usize,
    /// Target classes of the targeted attack.
    pub targets: usize,
}

impl StandardApgd {
    /// Those of a norm: Croce and Hein, ICML 2020, for L∞ and L2; Croce and Hein, "Mind the box", ICML 2021, for L1.
    pub fn for_norm(norm: Norm) -> Self {
        match norm {
            Norm::Linf | Norm::L2 => Self { radius_schedule: RadiusSchedule::Fixed, restarts: 1, targets: 9 },
            Norm::L1 => Self { radius_schedule: RadiusSchedule::Shrinking, restarts: 5, targets: 5 },
        }
    }
}
