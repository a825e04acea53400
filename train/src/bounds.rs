//! Bounds on I(x + δ; z) (propositions 3.2 and 3.3; figure 2).
