//! Estimators of the mutual-information penalty I(x + δ; z) of equation 5.
//!
//! | estimator | statistic | source | default kernel width |
//! | --- | --- | --- | --- |
//! | `nhsic` | tr(R_x R_z), R = Kc (Kc + ε·m·I)⁻¹ | the authors' code (HSIC bottleneck) | σ = 5 per coordinate |
//! | `hsic` | (m − 1)⁻² tr(K H L H) | equation 25 | σ = 5 per coordinate |
//! | `renyi` | H_α(K) + H_α(L) − H_α(K∘L), α = 1.01, bits | equations 21–23 | mean distance of the ten nearest |
//! | `cka_unbiased` | unbiased HSIC over its geometric mean with itself | Song et al. 2012, Kornblith et al. 2019 | median distance |
//!
//! All four look at a batch of m samples only through two m×m kernel matrices. One path serves them: squared distances
//! of the rows in the precision of the rows ([`distance`]), kernels in float64 ([`kernel`]), the statistic and its
//! derivative by one kernel matrix in closed form (a file for each), and the chain rule back to the rows. Nothing is
//! differentiated through a factorisation, so equal eigenvalues or a poor condition number cannot spoil the gradient.
//! All four are symmetric in their arguments, which gives the gradient with respect to x by exchanging them.
//!
//! Nothing here waits for a GPU: whether a batch has no penalty, and why, is found on the device and read with the other numbers of the
//! step ([`flags`]).
//!
//! What `nhsic` measures is mostly the spread of z: its value for independent features is within a tenth of that for
//! dependent ones (figures in the tests, `discrimination`). It is the default because the paper's results were obtained
//! with it.

mod cka;
mod config;
#[cfg(test)]
mod discrimination;
mod distance;
mod estimate;
mod flags;
mod hsic;
mod kernel;
mod loss;
mod nhsic;
mod renyi;
mod skip;
#[cfg(test)]
mod testing;
mod tokens;
mod unread;

pub use self::config::{Estimator, PenaltyConfig, PenaltyConfigError};
pub use self::loss::{Penalty, PenaltyError, PenaltyGradients, PenaltyLoss, PenaltyOutcome};
pub use self::skip::{Argument, SkipReason};
pub use self::tokens::{ImagePart, Latent};
pub use self::unread::Unread;
