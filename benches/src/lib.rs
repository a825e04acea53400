//! Criterion benches, in `benches/`: `gradient_graph` (forward against forward and gradient) and `attack_step` (what an
//! attack costs beside the network), `passes` (what one pass costs by batch size), `engines` (rten beside ONNX Runtime). There is no library code.
