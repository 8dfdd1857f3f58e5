"""maas doctor."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maas.cli._options import add_command, add_imports, add_json
from maas.cli._print import print_json, tell

if TYPE_CHECKING:
    from maas.doctor import Finding

_MARKS = {"ok": "[ok]", "warning": "[warning]", "error": "[error]"}


def add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    doctor = add_command(
        commands,
        "doctor",
        "look for what keeps models from being trained and served here, and say what to do",
        "examples:\n  maas doctor\n  maas doctor model_store/wine.mar\n  maas doctor artifacts/wine --json\n\n"
        "with an archive or a saved model it also lets the model answer broken requests, in a process of its own and\n"
        "without a server. exit codes: 1 an error was found, 0 none",
    )
    add_imports(doctor)
    doctor.add_argument("paths", nargs="*", metavar="DIR|MAR", help="saved models, or archives, to look at too")
    doctor.add_argument("--store", default="model_store", metavar="DIR", help="model store (default: %(default)s)")
    doctor.add_argument("--port", type=int, default=8080, metavar="N", help="of inference (default: %(default)s)")
    add_json(doctor)


def doctor(options: Namespace) -> bool:
    from maas.doctor import examine_machine, examine_model, examine_software

    sections: dict[str, list[Finding]] = {}
    sections["software"], facts = examine_software()
    sections["machine"] = examine_machine(options.store, options.port)
    for path in options.paths:
        sections[path] = examine_model(path, facts, imports=options.imports)
    tell(options, _text(sections))
    errors = sum(one.level == "error" for found in sections.values() for one in found)
    findings = [{"section": name, **one.to_json()} for name, found in sections.items() for one in found]
    print_json(options, {"ok": not errors, "findings": findings})
    return bool(errors)


def _text(sections: Mapping[str, Sequence[Finding]]) -> str:
    lines: list[str] = []
    for name, found in sections.items():
        lines += [name]
        for one in found:
            if one.level == "not checked":
                continue
            lines.append(f"  {_MARKS[one.level]:<9} {one.subject}: {one.detail}")
            if one.remedy:
                lines.append(f"{'':12}-> {one.remedy}")
        lines.append("")
    skipped = [one for found in sections.values() for one in found if one.level == "not checked"]
    if skipped:
        lines += ["not checked", *(f"  {one.subject}: {one.detail}" for one in skipped), ""]
    counts = Counter(one.level for found in sections.values() for one in found)
    told = [
        f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}" for level in ("error", "warning") if counts[level]
    ]
    return "\n".join([*lines, " and ".join(told) if told else "nothing is wrong"])
