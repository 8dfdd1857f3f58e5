"""The registry: push, look up, pull, promote, take back, delete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maas import artifact
from maas.artifact import Artifact
from maas.errors import IntegrityError, RegistryError, show
from maas.model import Model
from maas.registry import _collect
from maas.registry._catalog import Catalog
from maas.registry._content import read_content, remove_content
from maas.registry._diff import difference
from maas.registry._history import History, Record
from maas.registry._layout import FORMAT, MARK, Layout, aliased, folder_of, named, read_record, versioned
from maas.registry._lineage import Ancestor, chain
from maas.registry._promotion import Promotion
from maas.registry._push import push
from maas.registry._rule import check_compatible, compare_on, compare_stored
from maas.registry._version import Version
from maas.storage import atomic_folder, create_whole

PRODUCTION = "production"
_DAY_SECONDS = 86_400.0


class Registry:
    """Versions of models in a folder of plain files, which many processes and machines may share.

    Args:
        place: the folder, or its file URL.
        create: make a registry of it, where it is absent or empty.

    Attributes:
        path: the folder.

    Raises:
        RegistryError: the folder is no registry, or of a later format; or `place` is a URL of another kind.
    """

    def __init__(self, place: str | Path, *, create: bool = False) -> None:
        self.path = folder_of(place)
        mark = self.path / MARK
        if create and not (self.path.is_dir() and any(self.path.iterdir())):
            create_whole(mark, json.dumps({"format": FORMAT}).encode() + b"\n")
        if not mark.is_file():
            raise RegistryError(
                f"{self.path} is not a registry: it has no {MARK}; an absent or empty folder is made one by maas "
                f"registry create, or Registry.create"
            )
        if (read_record(mark) or {}).get("format") != FORMAT:
            raise RegistryError(
                f"{mark} is of another format than {FORMAT}, which this version of maas reads; use a later one"
            )
        self._layout = Layout(self.path.resolve())
        self._catalog = Catalog(self._layout)

    @classmethod
    def create(cls, place: str | Path) -> Registry:
        """Make a registry of a folder that is absent or empty; one that is a registry is opened.

        Raises:
            RegistryError: the folder holds something else.
        """
        return cls(place, create=True)

    def __repr__(self) -> str:
        return f"Registry({str(self.path)!r})"

    def push(self, path: str | Path, name: str, version: str | None = None) -> Version:
        """Add an artifact, once it has answered its golden rows. What has a version never changes.

        The same content again is the version that it was, so a push may be repeated.

        Args:
            path: the artifact's folder.
            name: of the model.
            version: one to three numbers; by default the next whole number.

        Raises:
            ArtifactError: the artifact is damaged, or answers otherwise here.
            RegistryError: the name or version cannot be used, or the version holds other content.
        """
        wanted = None if version is None else versioned(version)
        made = push(self._layout, self._catalog, Path(path), named(name), wanted)
        self.write_index(name)
        return made

    def list(self, name: str | None = None) -> list[Version]:
        """The versions of a model, or of all, the oldest first.

        Raises:
            RegistryError: there is no such model, or a record is damaged.
        """
        names = self._catalog.names() if name is None else [self._known(name)]
        found = []
        for each in names:
            history = History(self._layout, each)
            found += [one for one in self._catalog.versions(each) if not history.deletion(one.version)]
        return found

    def show(self, name: str, version: str = PRODUCTION) -> Version:
        """One version.

        Args:
            name: of the model.
            version: of the model, or an alias.

        Raises:
            RegistryError: there is none, or it was deleted.
        """
        return self._find(name, version, History(self._layout, self._known(name)))

    def read(self, name: str, version: str = PRODUCTION) -> Artifact:
        """The artifact of a version, checked to the last byte: `Model.from_artifact` loads it.

        Raises:
            RegistryError: as in `show`.
            IntegrityError: the registry's copy is damaged.
        """
        return artifact.parse(self._files(self.show(name, version)))

    def verify(self, name: str, version: str = PRODUCTION) -> Version:
        """Check a version to the last byte, and let the model answer its golden rows.

        Raises:
            RegistryError, ArtifactError: it is not what was pushed, or answers otherwise here.
        """
        found = self.show(name, version)
        self._verified(found)
        return found

    def pull(self, name: str, version: str, to: str | Path) -> Version:
        """Write the artifact of a version into a folder, in one step.

        Args:
            name, version: as in `show`.
            to: the folder. Made if need be; replaced if it is an artifact.

        Raises:
            RegistryError: as in `show`, or it was deleted meanwhile; nothing was written.
            IntegrityError: the registry's copy is damaged; nothing was written.
            ArtifactError: `to` is something else than an artifact.
        """
        artifact.check_replaceable(Path(to))
        found = self.show(name, version)
        files = self._files(found)
        with atomic_folder(Path(to)) as folder:
            for file, data in files.items():
                (folder / file).write_bytes(data)
        return found

    def diff(self, name: str, old: str, new: str) -> dict[str, Any]:
        """What differs between two versions of a model, in JSON values, each as a pair of before and after.

        Returns:
            `network`, `preprocess`, `task`, `transforms`, `fields`, `scores`, `breaks`; what is the same is left out.

        Raises:
            RegistryError, IntegrityError: as in `read`.
        """
        return difference(self.read(name, old), self.read(name, new))

    def lineage(self, name: str, version: str = PRODUCTION) -> tuple[Ancestor, ...]:
        """The version, the model that it was made from, and so on, as far as they are known here.

        Raises:
            RegistryError: as in `show`.
        """
        found = self.show(name, version)
        return chain(found, (one for each in self._catalog.names() for one in self._catalog.versions(each)))

    def aliases(self, name: str) -> dict[str, str]:
        """The version that each alias of a model holds.

        Raises:
            RegistryError: there is no such model.
        """
        return History(self._layout, self._known(name)).aliases()

    def history(self, name: str) -> tuple[Record, ...]:
        """What was done to a model's aliases and versions, the oldest first.

        Raises:
            RegistryError: there is no such model.
        """
        return tuple(History(self._layout, self._known(name)).records)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias hold a version that verifies: for aliases that nobody serves by, such as "candidate".

        Raises:
            RegistryError: the alias is "production", which is promoted; or as in `verify`, or as in `make`.
        """
        if aliased(alias) == PRODUCTION:
            raise RegistryError(f"{PRODUCTION!r} is set by a rule; use promote")
        history = History(self._layout, self._known(name))
        found = self._find(name, version, history)
        self._verified(found)
        self.make(Promotion(found, alias, history.aliases().get(alias), "alias", history))

    def promote(
        self, name: str, version: str, alias: str = PRODUCTION, *, test: Any = None, force: str | None = None
    ) -> None:
        """Let an alias hold a version, by a rule: `check_promotion`, then `make`.

        Raises:
            RegistryError, ArtifactError: as in these two.
        """
        self.make(self.check_promotion(name, version, alias, test=test, force=force))

    def check_promotion(
        self, name: str, version: str, alias: str = PRODUCTION, *, test: Any = None, force: str | None = None
    ) -> Promotion:
        """Find out whether an alias may hold a version; nothing is changed.

        It must verify. Against what the alias holds it must break no client, and its score must not be worse on the
        same test rows.

        Args:
            name, version: of the model; the version may be another alias.
            alias: to be set.
            test: rows with their target that score both, where the stored scores are not of the same rows.
            force: a reason to promote although the rule is broken; it is recorded.

        Raises:
            RegistryError: a rule is broken; the message says which, and names the fields.
            ArtifactError: the version, or what the alias holds, does not verify.
        """
        history = History(self._layout, self._known(name))
        before = history.aliases().get(aliased(alias))
        found = self._find(name, version, history)
        stored = {found: self._verified(found)}
        if force is not None and not force.strip():
            raise RegistryError("`force` is the reason to promote against the rule, got an empty one")
        if before in (None, found.version) or force:
            return Promotion(found, alias, before, "promote", history, why=force)
        held = self._find(name, str(before), history)
        stored[held] = artifact.parse(self._files(held))
        check_compatible(held, found, stored)
        score = compare_stored(held, found) if test is None else compare_on(held, found, stored, test)
        return Promotion(found, alias, before, "promote", history, score=score)

    def check_rollback(self, name: str, alias: str = PRODUCTION) -> Promotion:
        """The change that takes an alias back to what it held before; it must verify. Nothing is changed.

        Raises:
            RegistryError: it held nothing before, or that was deleted.
            ArtifactError: that does not verify.
        """
        history = History(self._layout, self._known(name))
        holds, before = history.aliases().get(aliased(alias)), history.before(alias)
        if holds is None or before is None:
            raise RegistryError(f"{alias} of {name} held nothing before {holds or 'now'}; there is none to go back to")
        found = self._find(name, before, history)
        self._verified(found)
        return Promotion(found, alias, holds, "rollback", history)

    def rollback(self, name: str, alias: str = PRODUCTION) -> Version:
        """Let an alias hold again what it held before; gives that.

        Raises:
            RegistryError, ArtifactError: as in `check_rollback` and `make`.
        """
        promotion = self.check_rollback(name, alias)
        self.make(promotion)
        return promotion.version

    def make(self, promotion: Promotion) -> None:
        """Make a change of an alias that was found to be in order.

        Raises:
            RegistryError: somebody has changed an alias or deleted a version of the model since; nothing was changed.
        """
        one = promotion
        if one.version.version == one.before:
            return  # it holds it already: there is nothing to take back later
        one.history.add(one.action, one.version.version, alias=one.alias, why=one.why, score=one.score)
        self.write_index(one.version.name)

    def delete(self, name: str, version: str) -> None:
        """Delete a version that no alias holds. Its number is never given again.

        Raises:
            RegistryError: an alias holds it, there is no such version, or somebody was faster.
        """
        history = History(self._layout, self._known(name))
        found = self._find(name, versioned(version), history)
        if held := [alias for alias, holds in history.aliases().items() if holds == found.version]:
            raise RegistryError(f"{found} is held by {', '.join(held)}; let that hold another version first")
        history.add("delete", found.version, alias=None)
        remove_content(self._layout.artifact(found.artifact))
        self.write_index(name)

    def scan(self, name: str) -> dict[str, Any]:
        """What the index of a model should say, read from its records.

        Raises:
            RegistryError: there is no such model, or a record is damaged.
        """
        return self._catalog.scan(self._known(name))

    def write_index(self, name: str) -> None:
        """Write the index of a model anew: `models/NAME/index.json`, for people and pages.

        Raises:
            RegistryError: as in `scan`.
        """
        self._catalog.write_index(self._known(name))

    def collect(self, *, older_than_seconds: float = _DAY_SECONDS) -> tuple[Path, ...]:
        """Remove what writers that died have left, and what deletions did not come to; write every index anew.

        Args:
            older_than_seconds: leave what changed since: a push may be on its way. The machines' clocks must agree
                better than that.

        Returns:
            What was removed.
        """
        removed = _collect.collect(self._layout, self._catalog, older_than_seconds)
        for name in self._catalog.names():
            self.write_index(name)
        return removed

    def _known(self, name: str) -> str:
        if not self._layout.versions(named(name)).is_dir():
            there = ", ".join(self._catalog.names()[:20]) or "none"
            raise RegistryError(f"{self.path} has no model {name}, there are {there}")
        return name

    def _find(self, name: str, version: str, history: History) -> Version:
        """A version by its number or alias."""
        aliases = history.aliases()
        if isinstance(version, str) and version[:1].isalpha():
            if aliased(version) not in aliases:
                there = ", ".join(aliases) or "none"
                raise RegistryError(
                    f"no version of {name} is its {version}, aliases are {there}; maas promote sets one"
                )
            version = aliases[version]
        found = self._catalog.find(name, versioned(version))
        if found is None:
            there = ", ".join(one.version for one in self._catalog.versions(name)[-20:]) or "none"
            raise RegistryError(f"{self.path} has no version {show(version)} of {name}, there are {there}")
        if gone := history.deletion(found.version):
            raise RegistryError(f"{found} was deleted by {gone.by} on {gone.when}")
        return found

    def _verified(self, version: Version) -> Artifact:
        """The artifact of a version, once it is found whole and the model in it has answered its golden rows."""
        found = artifact.parse(self._files(version))
        Model.from_artifact(found)
        return found

    def _files(self, version: Version) -> Mapping[str, bytes]:
        try:
            return read_content(self._layout, version)
        except IntegrityError:
            self._find(version.name, version.version, History(self._layout, version.name))  # deleted meanwhile?
            raise
