"""The commands about what is stored: inspect, verify, package, sample."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maas.cli._print import print_json, tell
from maas.errors import FormatError

if TYPE_CHECKING:
    from maas.artifact import Artifact


def inspect(options: Namespace) -> bool:
    from maas import artifact
    from maas.archive import read_archive, read_archived

    path = Path(options.path)
    if path.is_dir():
        stored = artifact.read(path)
        named = None
    else:
        named = read_archive(path)
        stored = read_archived(path)
    description, card = stored.description, stored.card
    result = {
        "archive": None if named is None else {"name": named.name, "version": named.version},
        "digest": stored.digest,
        **description,
        "card": card,
    }
    try:
        lines = _describe(stored, named.name + " " + named.version if named else None)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path} does not describe a model: {type(error).__name__} {error}") from error
    tell(options, "\n".join(line.replace("\n", "\\n") for line in lines))
    print_json(options, result)
    return False


def _describe(stored: Artifact, named: str | None) -> list[str]:
    from maas.metrics import Evaluation

    description, card = stored.description, stored.card
    arguments = ", ".join(f"{name}={value}" for name, value in description["recipe"]["arguments"].items())
    lines = [named] if named else []
    lines += [
        f"digest     {stored.digest}",
        f"network    {description['recipe']['kind']}({arguments})",
        f"task       {description['task']['kind']} of {description['target']}"
        + _threshold(description["task"]["state"]),
        f"fields     {len(description['schema'])}",
    ]
    for field in description["schema"]:
        shape = " x ".join(map(str, field["shape"]))
        nullable = "may be null" if field["nullable"] else ""
        lines.append(f"  {field['name']:<28} {field['kind']:<12} {shape} {nullable}".rstrip())
    lines.append(f"created    {card.get('created')} by {card.get('versions')}")
    lines += [
        f"{key:<10} {card[name]}" for key, name in (("use", "intended_use"), ("limits", "limits")) if card.get(name)
    ]
    if card.get("evaluation"):
        lines += ["", *str(Evaluation.from_json(card["evaluation"])).splitlines()]
    return lines


def _threshold(state: dict[str, Any]) -> str:
    """The threshold in a task's state, where there is one."""
    if "threshold" not in state:
        return ""
    by = state.get("chosen_by")
    return f", threshold {state['threshold']:.6g}" + ("" if by is None else f" chosen by {by}")


def verify(options: Namespace) -> bool:
    import maas

    digest = maas.verify(options.path, public_keys=options.public_keys)
    signed = "" if options.public_keys is None else "is signed by a key that was given, "
    tell(
        options,
        f"{options.path} {signed}is whole, and answers its golden rows as it did when it was saved\ndigest {digest}",
    )
    print_json(options, {"path": str(options.path), "digest": digest})
    return False


def package(options: Namespace) -> bool:
    from maas import archive

    given = {name: getattr(options, name) for name in ("workers", "batch_size", "max_batch_delay_ms", "config")}
    if options.print_config:
        print(archive.read_deployment(**given).to_yaml(), end="")
        return False
    path = archive.package(
        options.artifact,
        store=options.store,
        name=options.name,
        version=options.version,
        **given,
    )
    tell(options, f"{path} ({path.stat().st_size:,} bytes); next: maas serve {path.stem} --store {path.parent}")
    name = path.stem.partition("@")[0]
    print_json(options, {"archive": str(path), "name": name, "version": options.version, "bytes": path.stat().st_size})
    return False


def sample(options: Namespace) -> bool:
    from maas.data import SAMPLES, write_sample

    path = write_sample(options.name, options.output)
    target = SAMPLES[options.name]
    tell(options, f"{path}; next: maas fit {path} --target {target} --output artifacts/{options.name}")
    print_json(options, {"path": str(path), "target": target})
    return False
