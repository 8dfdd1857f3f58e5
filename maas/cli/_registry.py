"""The commands about a registry: push, promote, registry; and serve --registry."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maas.cli._labelled import labelled
from maas.cli._print import note, print_json, tell
from maas.errors import show

if TYPE_CHECKING:
    from maas.registry import Promotion, Registry, Version


def push(options: Namespace) -> bool:
    from maas.registry import Registry

    found = Registry(options.registry).push(options.artifact, options.name, options.version)
    tell(options, f"{found}  {found.digest}\nnext: maas promote {found} --registry {options.registry}")
    print_json(options, found.to_json())
    return False


def promote(options: Namespace) -> bool:
    from maas.model import Model
    from maas.registry import Registry

    registry, (name, version) = Registry(options.registry), options.model
    rows = options.data and labelled(options, Model.from_artifact(registry.read(name, version)), options.data)
    promotion = registry.check_promotion(name, version, options.to, test=rows, force=options.force)
    return _release(options, registry, promotion)


def registry(options: Namespace) -> bool:
    from maas.registry import Registry

    there = Registry(options.registry, create=options.action == "create")
    actions = {
        "create": _create,
        "list": _list,
        "show": _show,
        "diff": _diff,
        "pull": _pull,
        "alias": _alias,
        "rollback": _rollback,
        "delete": _delete,
        "lineage": _lineage,
        "verify": _verify,
        "collect": _collect,
    }
    return actions[options.action](options, there)


def serve(options: Namespace) -> bool:
    """`maas serve --registry`: archives are made first, and then served as those of any store."""
    from maas.cli import _serve
    from maas.serving._registered import from_registry

    with from_registry(options.registry, options.models) as (options.source, options.models):
        options.store, options.registry = options.source.store, None
        return _serve.serve(options)


def remember(options: Namespace, folder: Path) -> None:
    """Let what serves from a registry be found by `maas promote`, and follow its aliases if it is to."""
    if options.source is None:
        return
    options.source.write(folder)
    if options.follow is not None:
        from maas.serving._follow import Follower

        served = dict(one.split("@") for one in options.models)
        Follower(folder, options.source, served).start(options.follow, note)


def _release(options: Namespace, registry: Registry, promotion: Promotion) -> bool:
    from maas.serving._promote import release

    places = release(registry, promotion)
    where = f", and serves on {', '.join(places)}" if places else ""
    before = f"; it was {promotion.before}" if promotion.before else ""
    text = f"{promotion.version} is {promotion.alias}{where}{before}"
    said = {"version": promotion.version.to_json(), "alias": promotion.alias, "before": promotion.before}
    return _done(options, text, {**said, "released": places})


def _create(options: Namespace, registry: Registry) -> bool:
    return _done(options, f"{registry.path} is a registry", {"registry": str(registry.path)})


def _rollback(options: Namespace, registry: Registry) -> bool:
    return _release(options, registry, registry.check_rollback(options.name, options.alias))


def _list(options: Namespace, registry: Registry) -> bool:
    found = registry.list(options.name)
    held = {name: registry.aliases(name) for name in {one.name for one in found}}
    aliases = [[alias for alias, holds in held[one.name].items() if holds == one.version] for one in found]
    lines = map(_line, found, aliases)
    listed = [{**one.to_json(), "aliases": held_by} for one, held_by in zip(found, aliases, strict=True)]
    return _done(options, "\n".join(lines) or "no version is here; add one with maas push", listed)


def _line(one: Version, aliases: list[str]) -> str:
    score = "no score" if one.score is None or one.score.value is None else f"{one.score.primary} {one.score.value:.4f}"
    when = datetime.fromisoformat(one.created).strftime("%Y-%m-%d %H:%M")
    return f"{one!s:<24} {one.digest[:12]}  {when}  {score:<20} {one.network:<12} {', '.join(aliases)}".rstrip()


def _show(options: Namespace, registry: Registry) -> bool:
    found = registry.show(*options.model)
    history = registry.history(found.name)
    score = found.score
    facts = {
        "digest": found.digest,
        "model": found.model,
        "pushed": f"{found.created} by {found.by}",
        "network": found.network + "".join(f", {one}" for one in found.transforms),
        "task": f"{found.task} of {found.target}",
        "score": score and f"{score.primary} {score.value} on {score.num_rows:,} rows {score.fingerprint[:12]}",
        "data": found.data,
        "parent": found.parent,
        "files": registry.path / "artifacts" / found.artifact,
    }
    lines = [f"{name:<8} {value}" for name, value in facts.items() if value is not None]
    for one in history:
        why = f", against the rule: {one.why}" if one.why else ""
        what = f"{one.alias} {one.before or 'none'} -> {one.version}" if one.alias else one.version
        lines.append(f"  {one.when[:19]}  {one.action:<8} {what}, by {one.by}{why}")
    said = {**found.to_json(), "history": [asdict(one) for one in history]}
    return _done(options, "\n".join([str(found), *lines]), said)


def _diff(options: Namespace, registry: Registry) -> bool:
    found = registry.diff(options.name, *options.versions)
    lines = []
    for part, value in found.items():
        if part == "transforms":
            lines.append(f"transforms: {' -> '.join(str([one['kind'] for one in side]) for side in value)}")
        elif part == "breaks":
            lines += ["breaks clients:", *(f"  {one}" for one in value)]
        elif part == "fields":
            lines += ["fields:", *(f"  {name}: {_pairs(pairs)}" for name, pairs in value.items())]
        else:
            lines.append(f"{part}: {_pairs(value)}")
    return _done(options, "\n".join(lines) or "nothing but cards and golden rows differs", found)


def _pairs(pairs: dict[str, list[Any]]) -> str:
    for side, word in ((0, "new"), (1, "gone")):
        if "dtype" in pairs and pairs["dtype"][side] is None:  # a field that only one of them has
            return word
    return ", ".join(f"{name} {_side(old)} -> {_side(new)}" for name, (old, new) in pairs.items())


def _side(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return show(str(value) if isinstance(value, (list, dict)) else value, 40).strip("'\"")


def _pull(options: Namespace, registry: Registry) -> bool:
    name, version = options.model
    found = registry.pull(name, version, options.output)
    return _done(options, f"{found} is in {options.output}", {**found.to_json(), "path": options.output})


def _alias(options: Namespace, registry: Registry) -> bool:
    name, version = options.model
    registry.set_alias(name, options.alias, version)
    return _done(options, f"{name}@{version} is {options.alias}", registry.aliases(name))


def _delete(options: Namespace, registry: Registry) -> bool:
    name, version = options.model
    registry.delete(name, version)
    return _done(options, f"{name}@{version} is deleted", {"name": name, "version": version})


def _lineage(options: Namespace, registry: Registry) -> bool:
    found = registry.lineage(*options.model)
    lines = [
        f"{'  ' * depth}{', '.join(one.versions) or 'not in this registry'}  model {one.model[:12]}"
        + (f"  data {one.data[:12]}" if one.data else "")
        + "".join(f"  {kind}" for kind in one.transforms)
        for depth, one in enumerate(found)
    ]
    return _done(options, "\n".join(lines), [asdict(one) for one in found])


def _verify(options: Namespace, registry: Registry) -> bool:
    found = registry.verify(*options.model)
    return _done(options, f"{found} is whole, and answers its golden rows\ndigest {found.digest}", found.to_json())


def _collect(options: Namespace, registry: Registry) -> bool:
    removed = registry.collect(older_than_seconds=options.older_than * 3600)
    lines = [f"removed {one}" for one in removed] or ["nothing was left over"]
    return _done(options, "\n".join(lines), [str(one) for one in removed])


def _done(options: Namespace, text: str, said: Any) -> bool:
    tell(options, text)
    print_json(options, said)
    return False
