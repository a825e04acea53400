//! Criterion benches, in `benches/`: `gradient_graph` (forward against forward and gradient) and `attack_step` (what an
//! attack costs beside the network), `engines` (rten beside ONNX Runtime). There is no library code.
