"""Checks of what an archive says of itself: MAR-INF/MANIFEST.json, the model's name, and whether it is signed."""

from __future__ import annotations

import re

from maas.doctor._contents import MANIFEST, Contents
from maas.doctor._finding import Check, Finding

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def manifest(contents: Contents) -> Check:
    """The manifest's form, the model's name and version, and the files that it names."""
    remedy = contents.again if contents.is_ours else "make it again with torch-model-archiver"
    if not contents.model:
        yield Finding("error", "manifest", f"{MANIFEST} is missing, or no JSON with a `model` in it", remedy)
        return
    name, version = contents.said("modelName"), contents.said("modelVersion")
    runtime = contents.manifest.get("runtime", "python")
    if not str(runtime).startswith("python"):
        detail = f"its runtime is {runtime!r}; TorchServe would start that program in place of Python"
        yield Finding("error", "manifest", detail, f"{remedy}, with the runtime python")
    if not version:
        yield Finding("error", "manifest", "it names no version", remedy)
    named = {key: contents.said(key) for key in ("serializedFile", "modelFile", "configFile", "requirementsFile")}
    for key, file in named.items():
        if file and file not in contents.infos:
            yield Finding("error", "manifest", f"its {key} is {file}, which the archive does not hold", remedy)
    yield from _name(contents, name, remedy)
    yield Finding("ok", "manifest", f"model {name!r}, version {version!r}, handler {contents.said('handler')!r}")


def _name(contents: Contents, name: str, remedy: str) -> Check:
    given = f"{remedy} --name NAME" if contents.is_ours else f"{remedy} --model-name NAME"
    if not _NAME.fullmatch(name):
        detail = f"{name!r} is no name for a model: letters, digits, '_', '-' and '.', beginning with one of the first"
        yield Finding("error", "name", detail, given)
    elif "token" in name:
        detail = f"{name!r} has 'token' in it: TorchServe takes its address for the token service's"
        yield Finding("error", "name", f"{detail}, and it cannot be managed while tokens are on", given)
    elif name == "models":
        detail = "'models': torch-model-archiver deletes the folder of that name in its temporary folder"
        yield Finding("error", "name", f"{detail}, which is TorchServe's own", given)
    elif contents.is_ours and contents.path.stem not in (name, f"{name}@{contents.said('modelVersion')}"):
        detail = f"the file is {contents.path.name}, but the model in it is {name!r}: `maas serve` refuses it"
        yield Finding("error", "name", detail, f"mv {contents.path} {contents.path.with_name(f'{name}.mar')}")
    else:
        yield Finding("ok", "name", f"{name!r} can be served and managed")


def signature(contents: Contents) -> Check:
    """Whether an archive of maas is signed."""
    if "model.sig" in contents.infos:
        detail = f"it is signed; by whom is not looked at: maas verify {contents.path} --public-key PEM"
        yield Finding("not checked", "signature", detail)
    else:
        yield Finding("ok", "signature", "none; maas sign DIR, then package it again, where servers are to want one")
