"""Makes a store of the onnx package's own node tests, with derivatives in float64.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/node-requirements.txt
    .venv/bin/python scripts/reference/node_tests.py target/node_cases.npz                    # all 1,884
    .venv/bin/python scripts/reference/node_tests.py tests/fixtures/node_cases.npz --compact

A case is a model, its inputs and the outputs that the package expects. Each becomes a record:
- inputs that are no float32, and those that are weights or settings (`CONSTANT_INPUTS`), become initialisers;
- the other inputs are moved off kinks: a point is taken when central differences of three step widths agree there;
- the derivative of a random projection of the outputs, along random directions of each input, is taken in float64 by
  central differences: through ONNX Runtime where it has the kernels and reproduces the expected outputs, else through
  the package's own evaluator.

The file is an .npz with one array `cases`, uint8: the records one after another, all numbers little-endian.

    file   := "MNC1" u32 number of records, records
    record := name text, reason text (why it is skipped, empty when it is not)
              u32 operators, each text
              and, only without a reason:
              model bytes, f32 relative, f32 absolute tolerance of the outputs
              u32 inputs, each: name text, dims, f32 values of the suite
              u32 outputs, each: name text, u8 projected, dims, f32 expected
              u32 gradients, each: u32 input, f64 derivatives [DIRECTIONS]
              u8 1 when there are gradients, then for each input: f32 values of the point
    dims   := u32 rank, u32 sizes;  text, bytes := u32 length, content

The projection of output `i` has the weights `uniform(1000 + i)`, the direction `d` of input `i` the signs of
`uniform(2000 + 10 i + d)`: the numbers of SplitMix64 from that seed, as `53 bits / 2^52 − 1` in [−1, 1).
"""

import argparse
import copy
import math
import pathlib
import re
import struct
import time
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

DIRECTIONS = 3
OLDEST_OPSET = 7
STEP = 1e-5
# Of the steps that must agree. No powers of two: an operator that rounds to float32 on the way, as some do whose type is
# float64, would round those alike.
WIDTHS = (1, 0.57, 0.31)
# Seconds for the search of a point: the package's evaluator walks pooling windows in Python.
PATIENCE = 20
# Of the compact part: what one case may take, and how many of one operator and form there may be.
COMPACT_BYTES, COMPACT_PER_OPERATOR = 40_000, 12

# Inputs that are weights, statistics, bounds or fill values: constants in every classifier, so that the gradient rules
# take them for constants. By operator, also for the function bodies ("expanded") of it.
CONSTANT_INPUTS = {
    "AffineGrid": [1], "Attention": [3], "BatchNormalization": [1, 2, 3, 4], "CausalConvWithState": [1, 2], "Clip": [1, 2],
    "Conv": [1, 2], "ConvTranspose": [1, 2], "DeformConv": [1, 3, 4], "DequantizeLinear": [1, 2], "Dropout": [1, 2],
    "FlexAttention": [], "GroupNormalization": [1, 2], "InstanceNormalization": [1, 2], "LayerNormalization": [1, 2],
    "Mod": [1], "NegativeLogLikelihoodLoss": [2], "OneHot": [1, 2], "PRelu": [1], "Pad": [2], "Pow": [1], "QuantizeLinear": [1, 2],
    "RMSNormalization": [1], "Range": [0, 1, 2], "Resize": [1, 2, 3], "RoiAlign": [1], "RotaryEmbedding": [1, 2],
    "SoftmaxCrossEntropyLoss": [2], "Upsample": [1],
}

# Outputs besides these are statistics or caches that no classifier reads.
PROJECTED_OUTPUTS = {
    "Attention": [0], "BatchNormalization": [0], "LayerNormalization": [0], "RMSNormalization": [0],
    "SoftmaxCrossEntropyLoss": [0],
}

NAMES = {number: name for name, number in TensorProto.DataType.items()}


class Skip(Exception):
    """Why a case is not in the store."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store", type=pathlib.Path)
    parser.add_argument("--compact", action="store_true", help="the small part that is committed")
    parser.add_argument("--only", default="", help="a regular expression of names")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    onnxruntime.set_default_logger_severity(4)
    cases = list(collect_testcases())
    operators = {case.name: case.model.graph.node[0].op_type for case in cases}
    records, written = [], {}
    for case in cases:
        if not re.search(arguments.only, case.name):
            continue
        kind = (base_operator(case.name, operators), "expanded" in case.name)
        size = len(case.model.SerializeToString()) + sum(getattr(data, "nbytes", 0) for data in case.data_sets[0][0])
        if arguments.compact and (size > COMPACT_BYTES or written.get(kind, 0) >= COMPACT_PER_OPERATOR):
            continue
        try:
            record = Case(case, operators).record()
            reason = ""
        except Skip as skip:
            reason = str(skip)
            record = text(case.name) + text(reason) + texts(all_operators(case.model.graph))
        if arguments.compact:
            if reason or len(record) > COMPACT_BYTES:
                continue
            written[kind] = written.get(kind, 0) + 1
        else:
            print(f"{case.name}: {reason or 'ok'}", flush=True)
        records.append(record)
    store = b"MNC1" + u32(len(records)) + b"".join(records)
    np.savez_compressed(arguments.store, cases=np.frombuffer(store, dtype=np.uint8))
    print(len(records), "records,", arguments.store.stat().st_size, "bytes")


def base_operator(name, operators):
    """The operator that a case is about, for a function body too."""
    return operators.get(re.sub(r"_expanded.*", "", name), operators[name])


def all_operators(graph):
    """Names of the operators of a graph and its subgraphs; those of other domains with their domain."""
    found = set()
    for node in graph.node:
        found.add(node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}")
        for attribute in node.attribute:
            for subgraph in [attribute.g] * attribute.HasField("g") + list(attribute.graphs):
                found |= all_operators(subgraph)
    return found


class Case:
    """One case that can be differentiated, or `Skip`."""

    def __init__(self, case, operators):
        self.case, self.operator = case, base_operator(case.name, operators)
        self.operators = all_operators(case.model.graph)
        model = copy.deepcopy(case.model)
        check_types(model)
        inputs, expected = case.data_sets[0]
        graph = model.graph
        if any(not isinstance(value, (np.ndarray, np.generic)) for value in [*inputs, *expected]):
            raise Skip("a sequence or an optional value")
        values = {value.name: np.asarray(data) for value, data in zip(graph.input, inputs)}
        self.expected = {value.name: np.asarray(data) for value, data in zip(graph.output, expected)}
        self.model = prepared(model, values, constant_names(model, self.operator))
        self.inputs = {value.name: values[value.name] for value in self.model.graph.input}
        if not self.inputs:
            raise Skip("no float32 input that is not a weight or a setting: nothing to differentiate")
        if any(data.size == 0 for data in [*values.values(), *self.expected.values()]):
            raise Skip("a tensor without elements")
        self.check_forward()

    def check_forward(self):
        """ONNX Runtime, which everything here rests on, must itself give what the package expects."""
        try:
            outputs = Runtime(self.model)(self.inputs)
        except Exception as error:
            raise Skip(f"ONNX Runtime {onnxruntime.__version__} does not run it: {short(error)}") from None
        for name, found in zip(self.expected, outputs):
            if not close(found, self.expected[name], self.case):
                raise Skip(f"ONNX Runtime {onnxruntime.__version__} gives another output than the package expects")

    def projected(self):
        """Outputs that take part in the projection."""
        names = list(self.expected)
        chosen = PROJECTED_OUTPUTS.get(self.operator, range(len(names)))
        return [i for i in chosen if i < len(names) and self.expected[names[i]].dtype == np.float32]

    def record(self):
        outputs = self.projected()
        point, derivatives = self.derivatives(outputs) if outputs else (None, {})
        parts = [text(self.case.name), text(""), texts(self.operators), data(self.model.SerializeToString())]
        parts.append(struct.pack("<ff", self.case.rtol, self.case.atol))
        parts.append(u32(len(self.inputs)))
        for name, value in self.inputs.items():
            parts += [text(name), dims(value), value.astype("<f4").tobytes()]
        parts.append(u32(len(self.expected)))
        for i, (name, value) in enumerate(self.expected.items()):
            parts += [text(name), bytes([i in outputs]), dims(value), value.astype("<f4").tobytes()]
        parts.append(u32(len(derivatives)))
        for i, slopes in derivatives.items():
            parts += [u32(i), struct.pack(f"<{DIRECTIONS}d", *slopes)]
        parts.append(bytes([point is not None]))
        if point is not None:
            parts += [value.astype("<f4").tobytes() for value in point.values()]
        return b"".join(parts)

    def derivatives(self, outputs):
        """A point, and the derivatives of the projection there along the directions of each input."""
        reasons = []
        for kind in (Runtime, Reference):
            try:
                function = kind(to_double(self.model))
                self.check_double(function)
            except Exception as error:
                reasons.append(f"{kind.__name__}: {short(error)}")
                continue
            started = time.monotonic()
            for attempt in range(24):
                if time.monotonic() - started > PATIENCE:
                    break
                point = self.moved(attempt)
                slopes = self.slopes(function, point, outputs)
                if slopes is not None:
                    return point, slopes
            reasons.append(f"{kind.__name__}: no point where differences of all widths agree")
        raise Skip(f"no derivative in float64: {'; '.join(reasons)}")

    def check_double(self, function):
        found = function({name: value.astype(np.float64) for name, value in self.inputs.items()})
        for name, value in zip(self.expected, found):
            if self.expected[name].dtype == np.float32 and np.asarray(value).dtype != np.float64:
                raise ValueError("computes in float32")
            if not close(value, self.expected[name], self.case):
                raise ValueError("gives another output in float64")

    def moved(self, attempt):
        """The inputs of the suite, moved a little: off kinks, and within the operator's domain."""
        generator = np.random.default_rng(attempt)
        point = {}
        for name, value in self.inputs.items():
            x, u = value.astype(np.float64), generator.uniform(0.2, 1, value.shape)
            sign = 1 if np.all(x >= 0) else generator.choice([-1, 1], value.shape)
            x = np.where(x == 0, sign * 0.1, x)
            change = [-0.1 * x, 0.1 * x, 0.1 * generator.choice([-1, 1], value.shape)][attempt % 3]
            point[name] = (x + u * change).astype(np.float32)
        return point

    def slopes(self, function, point, outputs):
        """Derivatives by input, or nothing where the function is not smooth or not finite at the point."""
        weights = [uniform(1000 + i, self.expected[name].size) for i, name in enumerate(self.expected)]

        def projection(values):
            found = function(values)
            return sum(float(weights[i] @ np.asarray(found[i], dtype=np.float64).ravel()) for i in outputs)

        result, deviation, largest = {}, 0.0, 0.0
        for index, name in enumerate(point):
            result[index] = []
            for direction in range(DIRECTIONS):
                signs = np.where(uniform(2000 + 10 * index + direction, point[name].size) < 0, -1.0, 1.0)
                move = signs.reshape(point[name].shape)
                try:
                    found = [difference(projection, point, name, move, STEP * width) for width in WIDTHS]
                except Exception:
                    return None
                if not np.isfinite(found).all():
                    return None
                result[index].append(found[0])
                deviation, largest = max(deviation, np.ptp(found)), max(largest, abs(found[0]))
        return result if deviation <= 1e-6 * largest + 1e-10 else None


def difference(projection, point, name, move, step):
    """Central difference along a direction: in float64 its error is near 1e-10 of the values."""
    base = {key: value.astype(np.float64) for key, value in point.items()}
    step *= min(max(0.1, float(np.sqrt(np.mean(base[name] ** 2)))), 10)

    def at(factor):
        return projection({**base, name: base[name] + factor * step * move})

    return (at(1) - at(-1)) / (2 * step)


def check_types(model):
    for value in [*model.graph.input, *model.graph.output]:
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            raise Skip(f"the type {(kind or 'unknown').replace('_type', '')}")
        dtype = value.type.tensor_type.elem_type
        if dtype in (TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128):
            raise Skip("strings or complex numbers")
    floats = {value.type.tensor_type.elem_type for value in model.graph.input} - {TensorProto.FLOAT}
    for dtype in sorted(floats):
        if "FLOAT" in NAMES[dtype] or NAMES[dtype] == "DOUBLE":
            raise Skip(f"{NAMES[dtype].lower()} inputs: classifiers are differentiated in float32")
    if not any(value.type.tensor_type.elem_type == TensorProto.FLOAT for value in model.graph.input):
        raise Skip("no float32 input: nothing to differentiate")


def constant_names(model, operator):
    chosen = CONSTANT_INPUTS.get(operator, [])
    # Inputs that are left out have no entry among the inputs of the graph, so that positions are those of the node.
    node = model.graph.node[0]
    names = list(node.input) if node.op_type == operator else []
    if not names:
        names = [value.name for value in model.graph.input]
    return {names[i] for i in chosen if i < len(names)}


def prepared(model, values, constants):
    """Constants baked in, inputs with the sizes that they have, an opset that is not older than ours."""
    graph = model.graph
    kept = []
    for value in graph.input:
        array = values[value.name]
        infinite = array.dtype == np.float32 and not np.all(np.isfinite(array))
        if value.type.tensor_type.elem_type != TensorProto.FLOAT or value.name in constants or infinite:
            graph.initializer.append(numpy_helper.from_array(array, value.name))
        else:
            kept.append(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, array.shape))
    del graph.input[:]
    graph.input.extend(kept)
    if any(array.dtype == np.float32 and np.isnan(array).any() for array in values.values()):
        raise Skip("NaN among the inputs")
    raise_opset(model)
    return model


def raise_opset(model):
    """Opset 7 for the few cases of operators that have not changed since an older one."""
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version < OLDEST_OPSET:
            for name in all_operators(model.graph):
                versions = [
                    onnx.defs.get_schema(name, max_inclusive_version=version).since_version
                    for version in (opset.version, OLDEST_OPSET)
                ]
                if versions[0] != versions[1]:
                    raise Skip(f"opset {opset.version}, older than {OLDEST_OPSET}")
            opset.version = OLDEST_OPSET


class Runtime:
    """A model in ONNX Runtime."""

    def __init__(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, inputs):
        return self.session.run(None, inputs)


class Erf(OpRun):
    """The package's own rounds to float32."""

    def _run(self, x):
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


class Gelu(OpRun):
    """The package's own rounds to float32."""

    def _run(self, x, approximate=None):
        if approximate == "tanh":
            inner = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
        else:
            inner = np.vectorize(math.erf, otypes=[x.dtype])(x / np.sqrt(2.0).astype(x.dtype))
        return ((0.5 * x * (1 + inner)).astype(x.dtype),)


class Reference:
    """A model in the onnx package's evaluator."""

    def __init__(self, model):
        self.evaluator = ReferenceEvaluator(model, new_ops=[Erf, Gelu])

    def __call__(self, inputs):
        return self.evaluator.run(None, inputs)


def to_double(model):
    """The model with float64 in place of float32 throughout."""
    model = copy.deepcopy(model)
    double_graph(model.graph)
    return model


def double_graph(graph):
    del graph.value_info[:]
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in graph.initializer:
        double_tensor(tensor)
    for node in graph.node:
        if node.op_type == "GroupNormalization" and all(entry.name != "stash_type" for entry in node.attribute):
            node.attribute.append(helper.make_attribute("stash_type", TensorProto.DOUBLE))
        for attribute in node.attribute:
            if attribute.HasField("t"):
                double_tensor(attribute.t)
            if attribute.HasField("g"):
                double_graph(attribute.g)
            if attribute.name in ("to", "dtype", "stash_type") and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
            if node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                array = np.float64(attribute.f if attribute.name == "value_float" else attribute.floats)
                attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(np.asarray(array))))


def double_tensor(tensor):
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def close(found, wanted, case):
    found = np.asarray(found)
    if found.shape != wanted.shape:
        return False
    return np.allclose(
        found.astype(np.float64), wanted.astype(np.float64), rtol=case.rtol, atol=case.atol, equal_nan=True
    )


def uniform(seed, count):
    """SplitMix64 (Steele, Lea and Flood 2014), as numbers in [-1, 1)."""
    with np.errstate(over="ignore"):
        state = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, count + 1, dtype=np.uint64)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) / 2**52 - 1


def short(error):
    return " ".join(str(error).split())[:160]


def u32(number):
    return struct.pack("<I", number)


def data(content):
    return u32(len(content)) + content


def text(words):
    return data(words.encode())


def texts(words):
    return u32(len(words)) + b"".join(text(word) for word in sorted(words))


def dims(array):
    return u32(array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)


if __name__ == "__main__":
    main()
