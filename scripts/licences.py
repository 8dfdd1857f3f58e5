"""What an installation brings along and under which licence, as the packages here say: docs/licences.md.

    python scripts/licences.py > docs/licences.md

It follows the requirements of maas and of its extras, but for `dev`, through the metadata of what is installed.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

LONGEST = 100
NAME = re.compile(r"[A-Za-z0-9._-]+")


def licence(of: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the field."""
    said = of.metadata.get_all("License-Expression") or []
    classifiers = of.metadata.get_all("Classifier") or []
    said = said or [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ")]
    said = said or (of.metadata.get_all("License") or ["not said"])
    text = ", ".join(said).strip().splitlines()[0]
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def brought(requirements: list[str], found: dict[str, Distribution], missing: set[str]) -> None:
    """Follow requirements, without those that belong to an extra."""
    for requirement in requirements:
        head, _, marker = requirement.partition(";")
        named = NAME.match(head)
        if named is None or "extra ==" in marker:
            continue
        name = named[0].lower().replace("_", "-")
        if name in found or name == "maas-torch":
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            missing.add(name)  # for another system or Python, by its marker
            continue
        brought(found[name].requires or [], found, missing)


def main() -> None:
    found: dict[str, Distribution] = {}
    missing: set[str] = set()
    own = [re.sub(r";\s*extra == (?!['\"]dev).*", "", one) for one in distribution("maas-torch").requires or []]
    brought(own, found, missing)
    print("# Licences\n")
    print(
        "What `pip install 'maas-torch[...]'` with every extra but `dev` brings along, as each package says of itself;"
    )
    print("written by `python scripts/licences.py`, which reads what is installed. maas itself is Apache-2.0.\n")
    print("| package | version | licence |\n| --- | --- | --- |")
    for name in sorted(found):
        print(f"| {name} | {found[name].version} | {licence(found[name])} |")
    print(f"\nNot installed where this was written, since for other systems: {', '.join(sorted(missing)) or 'none'}.")
    print(
        "NVIDIA's packages come with torch for CUDA, under NVIDIA's own terms; torch for CPUs alone comes without them."
    )


if __name__ == "__main__":
    main()
