"""Prints the licences of every crate that is linked into a package: licences.py PACKAGE... The texts are those of the crates."""

import pathlib
import sys

import crates


def texts(manifest):
    names = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")
    folder = pathlib.Path(manifest).parent
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name.upper().startswith(names))
    return [(file.name, file.read_text(encoding="utf-8", errors="replace").strip()) for file in files]


def main():
    # Many crates have the same text, laid out otherwise: it is printed once.
    printed = {}
    print("Mimir's programs and libraries contain the following crates, under the licences that stand there.")
    for crate in crates.linked(sys.argv[1:]):
        name = f"{crate['name']} {crate['version']}"
        print(f"\n{'=' * 80}\n{name}: {crate['license'] or 'see the texts'}")
        for file, text in texts(crate["manifest_path"]):
            first = printed.setdefault(" ".join(text.split()), name)
            print(f"\n--- {file}: as in {first}" if first != name else f"\n--- {file}\n\n{text}")


main()
