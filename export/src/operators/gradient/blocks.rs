//! DepthToSpace and SpaceToDepth: channels become pixels, and back.
//!
//! Each is the other's adjoint. SpaceToDepth orders its channels as DepthToSpace's mode `DCR` reads them; for `CRD`,
//! which SpaceToDepth does not have in the working opset, the channels are permuted. Operator pages: ONNX
//! `DepthToSpace-13`, `SpaceToDepth-28`.

use super::broadcast::reshape;
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Node, Shape, ValueId};

/// `dx = space_to_depth(g)`.
pub(crate) fn depth_to_space(step: &mut Step<'_, '_>) -> Result<()> {
    let (g, node) = (step.cotangent()?, step.node());
    let block = node.attributes.int("blocksize", 1)?;
    let columns_first = match node.attributes.text("mode", "DCR")? {
        "DCR" => false,
        "CRD" => true,
        other => return Err(Error::format(format!("attribute `mode` is `{other}`"))),
    };
    step.send(0, |builder| {
        let depth = builder.op_with("SpaceToDepth", &[g], [("blocksize", block.into())])?;
        if columns_first { blocks_last(builder, depth, block) } else { Ok(depth) }
    })
}

/// `dx = depth_to_space(g)`.
pub(crate) fn space_to_depth(step: &mut Step<'_, '_>) -> Result<()> {
    let (g, node) = (step.cotangent()?, step.node());
    let (block, mode) = (node.attributes.int("blocksize", 1)?, node.attributes.text("mode", "DCR")?);
    let attributes = [("blocksize", block.into()), ("mode", mode.into())];
    step.send(0, |builder| builder.op_with("DepthToSpace", &[g], attributes))
}

/// `[N, C, H, W] → [N, b·b·C, H/b, W/b]` by two Reshapes and a Transpose.
pub(crate) fn lower_space_to_depth(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let x = node.input(0)?;
    let result = builder.graph().shape(node.output(0)?)?.clone();
    let block = usize::try_from(node.attributes.int("blocksize", 1)?).unwrap_or(0);
    let [batch, channels, ..] = builder.graph().shape(x)?.0[..] else {
        return Err(Error::shape("SpaceToDepth of a tensor without channels"));
    };
    let (rows, columns, block) = (result.0[2], result.0[3], Dim::Fixed(block));
    let apart = reshape(builder, x, &Shape(vec![batch, channels, rows, block, columns, block]))?;
    let perm: Vec<i64> = match node.attributes.text("mode", "DCR")? {
        "CRD" => vec![0, 1, 3, 5, 2, 4],
        _ => vec![0, 3, 5, 1, 2, 4],
    };
    let blocks_first = builder.op_with("Transpose", &[apart], [("perm", perm.into())])?;
    reshape(builder, blocks_first, &result)
}

/// Channels in the order (block, channel) brought into the order (channel, block).
fn blocks_last(builder: &mut Builder<'_>, value: ValueId, block: i64) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?;
    let channels = shape.0.get(1).and_then(|dim| dim.fixed());
    let channels =
        channels.ok_or_else(|| Error::shape(format!("the channels of {shape} depend on the batch")))?;
    let (channels, area) = (channels as i64, block * block);
    let inner = channels / area;
    let order: Vec<i64> = (0..channels).map(|at| at % area * inner + at / area).collect();
    let order = builder.ints(&order);
    // Whole planes are copied, which is faster than a Transpose.
    builder.op_with("Gather", &[value, order], [("axis", 1.into())])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::lower;
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint, batched, check, float, function, kernel_text, run, session,
    };
    use crate::testing::attributes;

    #[test]
    fn gradients_match_central_differences() {
        let cases: [(&str, &[usize], &str); 4] = [
            ("DepthToSpace", &[12, 2, 3], "blocksize=2"),
            ("DepthToSpace", &[12, 2, 3], "blocksize=2 mode=CRD"),
            ("DepthToSpace", &[18, 1, 2], "blocksize=3 mode=CRD"),
            ("SpaceToDepth", &[2, 6, 9], "blocksize=3"),
        ];
        for (op_type, dims, text) in cases {
            check(&format!("{op_type} {text}"), Domain::Real, batched(dims), |builder, x| {
                let y = builder.node(op_type, vec![Some(x)], attributes(text), 1)?[0];
                builder.op("Mul", &[y, y])
            });
        }
    }

    #[test]
    fn each_is_the_adjoint_of_the_other() {
        let text = |op_type: &str, dims: &[usize], text: &str| {
            let graph = function(batched(dims), |builder, x| {
                Ok(builder.node(op_type, vec![Some(x)], attributes(text), 1)?[0])
            });
            kernel_text(&graph.unwrap())
        };
        insta::assert_snapshot!(text("DepthToSpace", &[8, 2, 3], "blocksize=2 mode=CRD"), @r"
        const %gradient/f/DepthToSpace/constant: i64[8] = [0, 2, 4, 6, 1, 3, 5, 7]
        %gradient/f/DepthToSpace/SpaceToDepth: f32[N, 8, 2, 3] = SpaceToDepth(%g) {blocksize = 2}
        %gradient/f/DepthToSpace/Gather: f32[N, 8, 2, 3] = Gather(%gradient/f/DepthToSpace/SpaceToDepth, %gradient/f/DepthToSpace/constant) {axis = 1}
        %dx/Identity: f32[N, 8, 2, 3] = Identity(%gradient/f/DepthToSpace/Gather)
        ");
        insta::assert_snapshot!(text("SpaceToDepth", &[2, 4, 4], "blocksize=2"), @r#"
        %gradient/f/SpaceToDepth/DepthToSpace: f32[N, 2, 4, 4] = DepthToSpace(%g) {blocksize = 2, mode = "DCR"}
        %dx/Identity: f32[N, 2, 4, 4] = Identity(%gradient/f/SpaceToDepth/DepthToSpace)
        "#);
    }

    /// Opset 28 gave SpaceToDepth the modes of DepthToSpace; no runtime has them yet, so it is written out.
    #[test]
    fn in_both_modes_each_undoes_the_other() {
        for mode in ["DCR", "CRD"] {
            let text = format!("blocksize=2 mode={mode}");
            let mut graph = function(batched(&[3, 4, 6]), |builder, x| {
                let depth = builder.node("SpaceToDepth", vec![Some(x)], attributes(&text), 1)?[0];
                Ok(builder.node("DepthToSpace", vec![Some(depth)], attributes(&text), 1)?[0])
            })
            .unwrap();
            lower(&mut graph).unwrap();
            let x = Numbers::new(1).draw(Domain::Real, 72);
            assert_eq!(run(&mut session(&graph), &[float("x", &[1, 3, 4, 6], &x)]), x, "{mode}");
        }
    }

    #[test]
    fn the_mode_is_that_of_the_operator() {
        for mode in ["DCR", "CRD"] {
            let text = format!("blocksize=2 mode={mode}");
            let graph = function(batched(&[3, 4, 6]), |builder, x| {
                Ok(builder.node("SpaceToDepth", vec![Some(x)], attributes(&text), 1)?[0])
            });
            // The adjoint of a permutation is its inverse, which reads no x.
            let backward = adjoint(&graph.unwrap()).unwrap();
            let mut forward = function(batched(&[12, 2, 3]), |builder, x| {
                Ok(builder.node("DepthToSpace", vec![Some(x)], attributes(&text), 1)?[0])
            })
            .unwrap();
            lower(&mut forward).unwrap();
            let g = Numbers::new(1).draw(Domain::Real, 72);
            let wanted = run(&mut session(&forward), &[float("x", &[1, 12, 2, 3], &g)]);
            let inputs = [float("x", &[1, 3, 4, 6], &[0.0; 72]), float("g", &[1, 12, 2, 3], &g)];
            assert_eq!(run(&mut session(&backward), &inputs), wanted, "{mode}");
        }
    }
}
