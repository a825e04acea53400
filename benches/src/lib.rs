//! Criterion benches, in `benches/`: `gradient_graph` (forward against forward and gradient) and `attack_step` (what an
//! attack costs beside the network). There is no library code.
