"""maas.Registry: push, look up, pull, delete; what is refused, and what is damaged."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

import maas
from maas import artifact
from maas.errors import ArtifactError, IntegrityError, RegistryError
from maas.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.create(tmp_path / "registry")


def with_card(source: Path, to: Path, **card: Any) -> Path:
    """An artifact of the same model, whose card says something else: other content."""
    stored = artifact.read(source)
    description = {key: value for key, value in stored.description.items() if key not in ("format", "weights")}
    artifact.write(
        to, description=description, card={**stored.card, **card}, example=stored.example, tensors=stored.tensors
    )
    return to


def test_a_push_is_found_again(registry: Registry, wine_artifact: Path, wine_model: maas.Model, tmp_path: Path) -> None:
    first = registry.push(wine_artifact, "wine")
    assert (str(first), first.network, first.task, first.target) == ("wine@1", "mlp", "classification", "cultivar")
    assert first.model == maas.load(wine_artifact).digest
    assert first.data == wine_model.card["data"]["fingerprint"]
    assert registry.list() == registry.list("wine") == [first]
    again = Registry(registry.path.as_uri())
    assert again.show("wine", "1") == again.show("wine", "1.0.0") == first
    assert again.pull("wine", "1", tmp_path / "pulled") == first
    assert artifact.read_files(tmp_path / "pulled") == artifact.read_files(wine_artifact)
    assert again.verify("wine", "1") == first


def test_the_same_content_is_the_same_version(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    first = registry.push(wine_artifact, "wine", "1.2")
    assert registry.push(wine_artifact, "wine") == first
    assert registry.push(wine_artifact, "wine", "1.2.0") == first
    other = registry.push(with_card(wine_artifact, tmp_path / "other", limits="none"), "wine")
    assert (other.version, other.model) == ("2", first.model)
    assert registry.push(wine_artifact, "wine", "10").version == "10"  # asked for: another name for it
    assert [one.version for one in registry.list("wine")] == ["1.2", "2", "10"]
    assert len(list((registry.path / "artifacts").iterdir())) == 3


def test_a_version_never_changes(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    first = registry.push(wine_artifact, "wine", "1.0")
    other = with_card(wine_artifact, tmp_path / "other", limits="none")
    for version in ("1", "1.0", "01.00"):
        with pytest.raises(RegistryError, match=r"wine@1\.0 holds another model, pushed by .*; push it as another"):
            registry.push(other, "wine", version)
    assert registry.show("wine", "1") == first
    assert len(list((registry.path / "artifacts").iterdir())) == 1


def test_two_at_once_get_two_versions(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    """Four threads with one content among them, and one of its own each."""
    same = with_card(wine_artifact, tmp_path / "same", limits="same")
    own = [with_card(wine_artifact, tmp_path / str(number), limits=str(number)) for number in range(4)]
    found: list[maas.registry.Version] = []

    def push(mine: Path) -> None:
        here = Registry(registry.path)
        found.extend([here.push(same, "wine"), here.push(mine, "wine")])

    threads = [threading.Thread(target=push, args=(one,)) for one in own]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({one.version for one in found}) == len(registry.list("wine")) == 5
    assert json.loads((registry.path / "models/wine/index.json").read_text()) == registry.scan("wine")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../wine",
        "/etc/wine",
        "wine/../beer",
        ".",
        "wine\n",
        "Wine",
        "wín",
        "葡萄酒",
        "models",
        "a" * 65,
        "a" * 10**6,
        None,
    ],
)
def test_hostile_names(registry: Registry, wine_artifact: Path, name: Any) -> None:
    before = sorted(registry.path.rglob("*"))
    with pytest.raises(RegistryError, match=r"a model's name|cannot be called") as caught:
        registry.push(wine_artifact, name)
    assert len(str(caught.value)) < 400
    for look in (registry.show, registry.aliases, registry.lineage):
        with pytest.raises(RegistryError):
            look(name)
    for change in (registry.delete, registry.promote):
        with pytest.raises(RegistryError):
            change(name, "1")
    assert sorted(registry.path.rglob("*")) == before


@pytest.mark.parametrize("version", ["", "..", "../1", "1.2.3.4", "-1", "1e3", "v1", "١", "9" * 10, "1\n", 1])
def test_hostile_versions(registry: Registry, wine_artifact: Path, version: Any) -> None:
    with pytest.raises(RegistryError, match="a version is one to three numbers"):
        registry.push(wine_artifact, "wine", version)
    registry.push(wine_artifact, "wine")
    with pytest.raises(RegistryError):
        registry.show("wine", version)


def test_hostile_aliases(registry: Registry, wine_artifact: Path) -> None:
    registry.push(wine_artifact, "wine")
    for alias in ("", "../production", "1", "Production", "a" * 65, "名", None):
        with pytest.raises(RegistryError, match="an alias is 1 to 64 lower-case letters"):
            registry.promote("wine", "1", alias)  # type: ignore[arg-type]


def test_what_is_no_registry(tmp_path: Path, wine_artifact: Path) -> None:
    with pytest.raises(
        RegistryError, match=r"absent is not a registry: it has no maas-registry\.json; .*maas registry"
    ):
        Registry(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(RegistryError, match="is not a registry"):
        Registry.create(tmp_path / "other")
    assert [one.name for one in (tmp_path / "other").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    assert Registry.create(tmp_path / "empty").list() == []
    assert Registry.create(tmp_path / "empty").list() == []
    (tmp_path / "empty" / "maas-registry.json").write_text('{"format": 2}')
    with pytest.raises(RegistryError, match="is of another format than 1"):
        Registry(tmp_path / "empty")
    (tmp_path / "empty" / "maas-registry.json").write_text("[]")
    with pytest.raises(RegistryError, match=r"is damaged: .*must be a JSON object"):
        Registry(tmp_path / "empty")
    for url in ("s3://bucket/registry", "https://host/registry", "file://host/registry"):
        with pytest.raises(RegistryError, match=r"a registry is a folder, or file:///FOLDER, got .*; mount"):
            Registry(url)


def test_what_is_not_there(registry: Registry, wine_artifact: Path) -> None:
    with pytest.raises(RegistryError, match="has no model wine, there are none"):
        registry.show("wine")
    registry.push(wine_artifact, "wine")
    with pytest.raises(RegistryError, match="has no model beer, there are wine"):
        registry.list("beer")
    with pytest.raises(RegistryError, match="has no version '2' of wine, there are 1"):
        registry.show("wine", "2")
    with pytest.raises(RegistryError, match="no version of wine is its production, aliases are none"):
        registry.show("wine")


def test_a_damaged_artifact_is_not_pushed(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    shutil.copytree(wine_artifact, tmp_path / "broken")
    (tmp_path / "broken" / "card.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"card\.json is not what was saved"):
        registry.push(tmp_path / "broken", "wine")
    with pytest.raises(IntegrityError, match="is not an artifact"):
        registry.push(tmp_path / "nowhere", "wine")
    assert registry.list() == []


def test_a_damaged_artifact_in_the_registry(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    version = registry.push(wine_artifact, "wine")
    weights = registry.path / "artifacts" / version.artifact / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    for use in (
        lambda: registry.pull("wine", "1", tmp_path / "pulled"),
        lambda: registry.verify("wine", "1"),
        lambda: registry.promote("wine", "1"),
        lambda: registry.set_alias("wine", "candidate", "1"),
        lambda: registry.push(wine_artifact, "wine"),
    ):
        with pytest.raises(IntegrityError, match=r"wine@1 is damaged: model\.safetensors is not what was saved"):
            use()
    assert not (tmp_path / "pulled").exists()
    assert registry.aliases("wine") == {}


def test_an_artifact_that_was_replaced(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    """Whole, but not the one that was pushed."""
    version = registry.push(wine_artifact, "wine")
    with_card(wine_artifact, registry.path / "artifacts" / version.artifact, limits="none at all")
    with pytest.raises(IntegrityError, match="wine@1 is damaged: its files are others than were pushed"):
        registry.verify("wine", "1")


@pytest.mark.parametrize(
    "change",
    [
        {"artifact": "../../../etc"},
        {"artifact": 7},
        {"digest": None},
        {"version": "2"},
        {"name": "beer"},
        {"transforms": 1},
        {"score": {"primary": "accuracy"}},
        {"score": {"primary": [], "value": 1.0, "num_rows": 1, "fingerprint": ""}},
    ],
)
def test_a_record_that_was_altered(registry: Registry, wine_artifact: Path, change: dict[str, Any]) -> None:
    registry.push(wine_artifact, "wine")
    file = registry.path / "models/wine/versions/1.0.0.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(RegistryError, match=r"is damaged|names the artifact"):
        Registry(registry.path).verify("wine", "1")
    file.write_text("{")
    with pytest.raises(RegistryError, match=r"1\.0\.0\.json is damaged: .*put it back from a copy"):
        Registry(registry.path).list()


def test_pull_replaces_artifacts_only(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    registry.push(wine_artifact, "wine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ArtifactError, match="is not an artifact and will not be replaced"):
        registry.pull("wine", "1", tmp_path / "mine")


def test_a_version_deleted_while_it_is_pulled(
    registry: Registry, wine_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process deletes it after the puller has read what it is, in the midst of its files."""
    registry.push(wine_artifact, "wine")
    real = artifact._read_file

    def read(folder: int, name: str, most_bytes: int | None) -> bytes:
        if name == "example.json":
            Registry(registry.path).delete("wine", "1")
        return real(folder, name, most_bytes)

    monkeypatch.setattr(artifact, "_read_file", read)
    with pytest.raises(RegistryError, match="wine@1 was deleted by"):
        registry.pull("wine", "1", tmp_path / "pulled")
    assert list(tmp_path.glob("*pulled*")) == []


def test_delete(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    registry.push(wine_artifact, "wine")
    second = registry.push(with_card(wine_artifact, tmp_path / "other", limits="none"), "wine")
    registry.set_alias("wine", "candidate", "1")
    with pytest.raises(RegistryError, match="wine@1 is held by candidate; let that hold another version first"):
        registry.delete("wine", "1")
    registry.set_alias("wine", "candidate", "2")
    registry.delete("wine", "1")
    assert registry.list("wine") == [second]
    assert [one.name for one in (registry.path / "artifacts").iterdir()] == [second.artifact]
    for use in (registry.show, registry.delete, registry.verify):
        with pytest.raises(RegistryError, match=r"wine@1 was deleted by .* on 20"):
            use("wine", "1")
    with pytest.raises(RegistryError, match="wine@1 was deleted, and its number is not given again"):
        registry.push(wine_artifact, "wine", "1")
    assert registry.push(wine_artifact, "wine").version == "3"
    assert registry.scan("wine")["versions"]["1"]["deleted"]


def test_what_the_dead_left_is_collected(registry: Registry, wine_artifact: Path) -> None:
    version = registry.push(wine_artifact, "wine")
    shutil.copytree(
        registry.path / "artifacts" / version.artifact, registry.path / "artifacts" / ("0" * 16 + "-" + "0" * 8)
    )
    (registry.path / "models/wine/versions/.2.0.0.json.tmp-abc").write_text("{")
    (registry.path / "models/wine/versions/2.0.0.json").touch()  # claimed where there are no links, and not written
    assert registry.collect() == ()
    assert registry.list("wine") == [version]
    with pytest.raises(RegistryError, match="wine@2 is being pushed by another, or its writer died"):
        registry.push(with_card(wine_artifact, registry.path.parent / "other", limits="none"), "wine", "2")
    (registry.path / "models/wine/index.json").unlink()
    assert len(registry.collect(older_than_seconds=0)) == 3
    assert len(list(registry.path.rglob("*.json"))) == 6  # the mark, the record, the index, and three of the artifact
    assert registry.verify("wine", "1") == version


def test_a_file_system_without_links(
    registry: Registry, wine_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    first = registry.push(wine_artifact, "wine")
    with pytest.raises(RegistryError, match="wine@1 holds another model"):
        registry.push(with_card(wine_artifact, tmp_path / "other", limits="none"), "wine", "1")
    registry.promote("wine", "1")
    assert registry.verify("wine") == first


def test_lineage(registry: Registry, wine_artifact: Path, tmp_path: Path) -> None:
    parent = maas.load(wine_artifact)
    child = maas.load(wine_artifact)
    child.card["lineage"] = {"parent": parent.digest}
    with maas_weights(child):
        child.save(tmp_path / "child")
    registry.push(wine_artifact, "wine")
    registry.push(wine_artifact, "wine-eu")
    made = registry.push(tmp_path / "child", "wine")
    assert made.parent == parent.digest
    own, before = registry.lineage("wine", "2")
    assert own.versions == ("wine@2",)
    assert (before.model, before.versions) == (parent.digest, ("wine@1", "wine-eu@1"))
    (alone,) = registry.lineage("wine", "1")
    assert alone.data == parent.card["data"]["fingerprint"]


class maas_weights:
    """Within the block a model's weights are a little other."""

    def __init__(self, model: maas.Model) -> None:
        self._model = model

    def __enter__(self) -> None:
        next(self._model.network.parameters()).data.mul_(1.5)

    def __exit__(self, *_: object) -> None:
        next(self._model.network.parameters()).data.div_(1.5)


def test_diff_names_what_changed(registry: Registry, wine_split: Any, wine_artifact: Path, tmp_path: Path) -> None:
    train, test = wine_split
    other = maas.fit(maas.recipe(maas.nn.MLP, hidden=(8,)), train, epochs=2, device="cpu", progress=False)
    registry.push(wine_artifact, "wine")
    registry.push(other.save(tmp_path / "other", evaluation=other.evaluate(test)), "wine")
    found = registry.diff("wine", "1", "2")
    assert found["network"] == {"hidden": [[16], [8]]}
    assert found["scores"]["accuracy"][0] is None
    assert "fields" not in found
    assert "breaks" not in found
    assert registry.diff("wine", "1", "1") == {}


@pytest.mark.parametrize("made", [True, False])
def test_an_interrupted_claim(
    registry: Registry, wine_artifact: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """Ctrl-C before or after the link: what the version names stays, and what none names goes."""
    real = os.link

    def link(source: Path, target: Path) -> None:
        if made:
            real(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link)
        with pytest.raises(KeyboardInterrupt):
            registry.push(wine_artifact, "wine")
    there = Registry(registry.path)
    assert len(list((registry.path / "artifacts").iterdir())) == made
    assert there.push(wine_artifact, "wine") == there.verify("wine", "1")
    assert json.loads((registry.path / "models/wine/index.json").read_text()) == there.scan("wine")
