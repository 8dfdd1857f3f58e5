"""Checks of what in an archive would run: its handler, further code, pickles. It is read, and never run."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import PurePosixPath

from maas.doctor._contents import OURS, Contents
from maas.doctor._finding import Check, Finding

STOCK = (
    "image_classifier", "image_segmenter", "object_detector", "text_classifier", "dali_image_classifier",
    "base_handler", "trt_llm_handler", "vllm_handler",
)  # fmt: skip
"""TorchServe's own handlers, which an archive names without holding them."""

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".joblib", ".ckpt")


def code(contents: Contents) -> Check:
    """What of an archive runs in the worker: its handler, further code, packages that it wants, pickles."""
    scripts = [name for name in contents.infos if name.endswith((".py", ".so", ".pyc")) and name not in OURS]
    handler = contents.said("handler")
    if contents.is_ours:
        if scripts or contents.said("requirementsFile") or contents.said("modelFile"):
            more = ", ".join([*scripts, contents.said("requirementsFile"), contents.said("modelFile")]).strip(", ")
            detail = f"it holds what maas never puts into an archive, and would run or be installed: {more}"
            yield Finding("error", "code", detail, f"do not serve it; {contents.again}")
        else:
            yield Finding("ok", "code", f"nothing but {', '.join(name for name in OURS if name in contents.infos)}")
        return
    detail = f"this archive is not maas's: it brings code of its own ({', '.join(scripts) or 'none'}), which runs with"
    trust = "serve it only if you trust whoever made it, by `torchserve` itself: `maas serve` refuses it"
    yield Finding("warning", "code", f"{detail} all rights of the server", trust)
    if (wanted := contents.said("requirementsFile")) and wanted in contents.infos:
        detail = f"{wanted} is ignored by default, and installed at each load with install_py_dep_per_model=true"
        yield Finding(
            "warning", "code", detail, f"pip install -r {wanted} beside TorchServe, and leave the setting off"
        )
    if pickles := [name for name in contents.infos if name.endswith(_PICKLES)]:
        detail = f"{', '.join(pickles)}: a file of torch.save is a pickle, and loading it can run anything"
        yield Finding("warning", "code", detail, "load it with weights_only=True, or store safetensors")
    yield from _foreign_handler(contents, handler)


def _foreign_handler(contents: Contents, handler: str) -> Check:
    file = handler.partition(":")[0].rpartition("/")[2]
    stem = file.removesuffix(".py")
    source = contents.texts.get(f"{stem}.py")
    if source is None:
        if stem in STOCK:
            detail = f"{stem} is TorchServe's own: an exception on one request fails the whole batch"
            yield Finding("warning", "handler", detail, "put rows that fail on their own into a handler of yours")
        else:
            remedy = "torch-model-archiver --handler FILE.py"
            detail = f"{handler!r} is neither in the archive nor one of TorchServe's"
            yield Finding("error", "handler", detail, remedy)
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        yield Finding("error", "handler", f"{stem}.py is not Python: {error}", f"python -m py_compile {stem}.py")
        return
    yield from _entry(tree, stem, handler.partition(":")[2] or "handle")
    yield from _shadows(contents)
    if missing := _missing_imports(tree, contents):
        detail = f"{stem}.py imports {', '.join(missing)}, which this Python does not have; TorchServe would hide that"
        yield Finding(
            "error", "handler", f"{detail} and say: No module named 'ts.torch_handler.{stem}'", "pip install it there"
        )
    detail = "what it does with a bad row, a NaN or a large answer: it is not run, for it is not maas's"
    yield Finding("not checked", "handler", detail)


def _entry(tree: ast.Module, stem: str, function: str) -> Check:
    """Whether TorchServe finds one thing to call."""
    functions = [one.name for one in tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assigned = [
        name.id
        for one in tree.body
        if isinstance(one, ast.Assign)
        for name in one.targets
        if isinstance(name, ast.Name)
    ]
    classes = [one.name for one in tree.body if isinstance(one, ast.ClassDef)]
    if function in functions + assigned:
        yield Finding("ok", "handler", f"{stem}.py has the function {function}")
    elif len(classes) == 1:
        yield Finding("ok", "handler", f"{stem}.py has one class, {classes[0]}")
    else:
        detail = f"{stem}.py has {len(classes)} classes ({', '.join(classes) or 'none'}) and no function {function}"
        remedy = "leave exactly one class in it, import the others from another file"
        yield Finding("error", "handler", f"{detail}: TorchServe wants exactly one class, or that function", remedy)


def _shadows(contents: Contents) -> Check:
    for name in contents.infos:
        stem = name.removesuffix(".py")
        if (
            name.endswith(".py")
            and stem.isidentifier()
            and (stem in sys.stdlib_module_names or stem in ("torch", "ts"))
        ):
            detail = f"{name} stands on the worker's path before Python's own module {stem}"
            yield Finding("error", "code", detail, f"give {name} another name")


def _missing_imports(tree: ast.Module, contents: Contents) -> list[str]:
    """Modules that a file imports at its top and that are neither in the archive nor installed. None is imported."""
    wanted: set[str] = set()
    for one in tree.body:
        if isinstance(one, ast.Import):
            wanted |= {alias.name.partition(".")[0] for alias in one.names}
        elif isinstance(one, ast.ImportFrom) and one.module and not one.level:
            wanted.add(one.module.partition(".")[0])
    inside = {PurePosixPath(name).parts[0].removesuffix(".py") for name in contents.infos}
    return sorted(name for name in wanted - inside if _is_missing(name))


def _is_missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return False
