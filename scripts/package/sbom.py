"""Prints a CycloneDX 1.6 bill of materials of a package: sbom.py VERSION PACKAGE...

Each crate is named with the digest that Cargo.lock holds it to, so that a scanner of advisories can read it.
"""

import json
import pathlib
import re
import sys

import crates


def checksums():
    """The digest of each crate's archive, by name and version."""
    text = pathlib.Path("Cargo.lock").read_text(encoding="utf-8")
    entry = re.compile(r'\[\[package\]\]\nname = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "(.*)"')
    return {(name, version): digest for name, version, digest in entry.findall(text)}


def component(crate, digest):
    name, version = crate["name"], crate["version"]
    purl = f"pkg:cargo/{name}@{version}"
    entry = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if crate["license"]:
        # Some crates still write a slash for "or".
        entry["licenses"] = [{"expression": crate["license"].replace("/", " OR ")}]
    entry["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return entry


def main():
    version, packages = sys.argv[1], sys.argv[2:]
    known = checksums()
    components = [component(crate, known[crate["name"], crate["version"]]) for crate in crates.linked(packages)]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "mimir", "version": version}},
        "components": components,
    }
    json.dump(document, sys.stdout, indent=1)
    print()


main()
