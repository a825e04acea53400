#!/usr/bin/env python3
"""Checkpoints for the tests of `mimir-train convert`, in the layout of `torch.save` (zip, protocol 2) and with its pickles.

    python3 scripts/reference/pth_fixtures.py

Needs Python alone: modules of these names stand in for PyTorch, and tensors reduce as its own do (torch/_tensor.py,
`_rebuild_tensor_v2`; torch/serialization.py, `_save`). `libtorch.pth` is not made here: libtorch 2.11 wrote it, by
`scripts/reference/pth_fixture.cpp`.
"""
import argparse
import collections
import io
import os
import pathlib
import pickle
import struct
import sys
import types
import zipfile

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "train" / "tests" / "fixtures" / "pth"
FORMATS = {"FloatStorage": "f", "DoubleStorage": "d", "HalfStorage": "e", "LongStorage": "q", "BFloat16Storage": None}


def stand_in():
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch._utils = utils
    for name in FORMATS:
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        function = types.FunctionType((lambda *arguments: None).__code__, {}, name)
        function.__module__, function.__qualname__ = "torch._utils", name
        setattr(utils, name, function)
    sys.modules.update({"torch": torch, "torch._utils": utils})
    return torch


torch = stand_in()


class Storage:
    def __init__(self, kind, values):
        self.kind, self.values = kind, values

    def bytes(self):
        if self.kind == "BFloat16Storage":
            return b"".join(struct.pack("<f", value)[2:] for value in self.values)
        return struct.pack(f"<{len(self.values)}{FORMATS[self.kind]}", *map(int if self.kind == "LongStorage" else float, self.values))


class Tensor:
    def __init__(self, storage, shape, strides=None, offset=0):
        self.storage, self.shape, self.offset = storage, tuple(shape), offset
        self.strides = strides or tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))

    def __reduce_ex__(self, _):
        arguments = (self.storage, self.offset, self.shape, self.strides, False, collections.OrderedDict())
        return torch._utils._rebuild_tensor_v2, arguments


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce_ex__(self, _):
        return torch._utils._rebuild_parameter, (self.tensor, True, collections.OrderedDict())


def product(numbers):
    result = 1
    for number in numbers:
        result *= number
    return result


def tensor(*shape, kind="FloatStorage", start=0.0):
    return Tensor(Storage(kind, [start + index / 4 for index in range(product(shape))]), shape)


def save(name, content):
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            if value not in storages:
                storages.append(value)
            return ("storage", getattr(torch, value.kind), str(storages.index(value)), "cpu", len(value.values))

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(content)
    entries = {"data.pkl": stream.getvalue(), "byteorder": b"little", "version": b"3\n"}
    entries |= {f"data/{index}": storage.bytes() for index, storage in enumerate(storages)}
    with zipfile.ZipFile(FOLDER / name, "w", zipfile.ZIP_STORED) as archive:
        for entry, data in entries.items():
            # A fixed date: the same script gives the same bytes.
            archive.writestr(zipfile.ZipInfo(f"archive/{entry}", (2020, 1, 1, 0, 0, 0)), data)


def weights(prefix="", kind="FloatStorage"):
    """A state dictionary with all that views can be: transposed, with an offset, sharing a storage, a parameter."""
    shared = Storage(kind, [float(value) for value in range(12)])
    state = collections.OrderedDict()
    state[prefix + "cls_token"] = tensor(1, 1, 4, kind=kind, start=-1.0)
    state[prefix + "blocks.0.norm1.weight"] = Tensor(shared, (4,), offset=8)
    state[prefix + "blocks.0.norm1.bias"] = Tensor(shared, (4,))
    state[prefix + "head.weight"] = Tensor(Storage(kind, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), (2, 3), strides=(1, 2))
    state[prefix + "head.bias"] = Parameter(tensor(2, kind=kind))
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    return state


class Command:
    def __reduce__(self):
        return os.system, ("touch /tmp/mimir-was-here",)


def main():
    FOLDER.mkdir(exist_ok=True)
    plain = weights()
    save("state_dict.pth", plain)
    optimizer = {"state": {0: {"step": 3, "exp_avg": tensor(4)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]}
    arguments = argparse.Namespace(lr=0.1, data_path="/data", long=1 << 80)
    save("mae.pth", {"model": plain, "optimizer": optimizer, "epoch": 3, "scaler": None, "args": arguments})
    save("wrapped.pth", {"state_dict": weights("module.base_model.", "HalfStorage")})
    save("bfloat16.pth", weights(kind="BFloat16Storage"))
    save("float64.pth", weights(kind="DoubleStorage"))
    save("ema.pth", {"model": {"x": tensor(1)}, "model_ema": plain})
    save("unknown.pth", plain | {"dist_token": tensor(1), "num_batches": tensor(1, kind="LongStorage"), "epoch": 3})
    save("twice.pth", plain | {"module.cls_token": tensor(1, 1, 4)})
    save("no_weights.pth", {"epoch": 3})
    save("list.pth", [1, 2])
    save("command.pth", {"model": plain, "hook": Command()})


if __name__ == "__main__":
    main()
