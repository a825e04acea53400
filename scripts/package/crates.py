"""What the packaging scripts ask cargo: which crates a build links, and what is known of them."""

import json
import subprocess


def cargo(*arguments):
    # Not `--offline`: metadata wants every crate of Cargo.lock, those of other systems too, and a build fetches only its own.
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(packages):
    """The crates of others that builds of `packages` link, as cargo metadata describes them, by name and version."""
    chosen = [word for package in packages for word in ("-p", package)]
    lines = cargo("tree", "-e", "normal", "--prefix", "none", "--format", "{p}", *chosen).splitlines()
    # "serde v1.0.0", "mimir-data v0.1.0 (/path)", either with "(*)" where it was printed before.
    wanted = {tuple(line.split()[:2]) for line in lines if line}
    found = json.loads(cargo("metadata", "--format-version", "1"))["packages"]
    found = [crate for crate in found if crate["source"] is not None]
    found = [crate for crate in found if (crate["name"], "v" + crate["version"]) in wanted]
    return sorted(found, key=lambda crate: (crate["name"], crate["version"]))
