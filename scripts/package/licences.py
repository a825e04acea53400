"""Prints the licences of every crate that is linked into a package: licences.py PACKAGE...

`cargo tree` names the crates that a build links, and `cargo metadata` where they lie; the texts are those of the crates.
"""

import json
import pathlib
import subprocess
import sys


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked", "--offline"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def linked(packages):
    chosen = [word for package in packages for word in ("-p", package)]
    lines = cargo("tree", "-e", "normal", "--prefix", "none", "--format", "{p}", *chosen).splitlines()
    # "serde v1.0.0", "mimir-data v0.1.0 (/path)", either with "(*)" where it was printed before.
    return {tuple(line.split()[:2]) for line in lines if line}


def texts(manifest):
    names = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")
    folder = pathlib.Path(manifest).parent
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name.upper().startswith(names))
    return [(file.name, file.read_text(encoding="utf-8", errors="replace").strip()) for file in files]


def main():
    wanted = linked(sys.argv[1:])
    packages = json.loads(cargo("metadata", "--format-version", "1"))["packages"]
    packages = [package for package in packages if package["source"] is not None]
    # Many crates have the same text, laid out otherwise: it is printed once.
    printed = {}
    print("Mimir's programs and libraries contain the following crates, under the licences that stand there.")
    for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
        name = f"{package['name']} {package['version']}"
        if (package["name"], "v" + package["version"]) not in wanted:
            continue
        print(f"\n{'=' * 80}\n{name}: {package['license'] or 'see the texts'}")
        for file, text in texts(package["manifest_path"]):
            first = printed.setdefault(" ".join(text.split()), name)
            print(f"\n--- {file}: as in {first}" if first != name else f"\n--- {file}\n\n{text}")


main()
