"""A second reader of bundles, written from docs/bundle-format.md alone with Python's standard library: read_bundle.py BUNDLE…

It shows what a bundle in one file is for other programs (`zipfile` opens and tests it), computes the one archive that there is
for these files and compares every byte, and compares every file with the manifest.
"""

import hashlib
import json
import pathlib
import re
import struct
import sys
import zipfile
import zlib

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
LISTED = re.compile(r"model\.onnx(\.data)?|gradient-[A-Za-z0-9._-]+\.onnx(\.data)?")
UNLISTED = re.compile(r"manifest\.json|certificate\.json|certificates/[A-Za-z0-9._-]+\.json|signature\.json")


def archive(files: dict[str, bytes]) -> bytes:
    """The one archive of files, by the tables of the page."""
    out, directory = bytearray(), bytearray()
    for name in ["manifest.json", *sorted(set(files) - {"manifest.json"})]:
        content, begins = files[name], len(out)
        behind_name = begins + 30 + len(name)
        extra = -(-(behind_name + 6) // 4096) * 4096 - behind_name
        sizes = (zlib.crc32(content), len(content), len(content), len(name))
        fields = struct.pack("<HHHHHIIIH", 10, 0, 0, 0, 0x21, *sizes)
        out += b"PK\x03\x04" + fields + struct.pack("<H", extra) + name.encode()
        out += struct.pack("<HHH", 0xD935, extra - 4, 4096) + bytes(extra - 6) + content
        directory += b"PK\x01\x02" + struct.pack("<H", 10) + fields + bytes(12) + struct.pack("<I", begins) + name.encode()
    end = struct.pack("<IHHIIH", 0, len(files), len(files), len(directory), len(out), 0)
    return bytes(out + directory + b"PK\x05\x06" + end)


def read(path: pathlib.Path) -> dict[str, bytes]:
    if path.is_dir():
        found = (file for file in path.rglob("*") if not file.is_dir())
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in found}
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in opened.infolist())
        files = {name: opened.read(name) for name in opened.namelist()}
    assert archive(files) == path.read_bytes(), f"{path} is not the archive of its files"
    return files


def once(pairs: list) -> dict:
    assert len(pairs) == len({key for key, _ in pairs}), "a key stands twice"
    return dict(pairs)


def check(files: dict[str, bytes]) -> None:
    manifest = json.loads(files["manifest.json"], object_pairs_hook=once)
    assert manifest["format"] == "mimir-bundle" and manifest["version"].split(".")[0] == "1"
    listed = {entry["name"]: entry for entry in manifest["files"]}
    assert list(listed) == sorted(listed) and "model.onnx" in listed
    for name, content in files.items():
        assert NAME.fullmatch(name) and (UNLISTED if name not in listed else LISTED).fullmatch(name), name
        if entry := listed.pop(name, None):
            assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest()), name
    assert not listed, f"missing: {list(listed)}"


for argument in sys.argv[1:]:
    files = read(pathlib.Path(argument))
    check(files)
    print(f"{argument}: {', '.join(sorted(files))}")
