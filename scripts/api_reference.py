#!/usr/bin/env python
"""Write docs/api/ anew, from signatures and docstrings: a page for each public room.

python scripts/api_reference.py            # after a public name or its docstring has changed; the tests compare
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

ROOMS = (
    "data", "schema", "preprocess", "nn", "task", "metrics", "model", "training", "tuning", "sklearn", "compress",
    "generation", "archive", "signing", "exporting", "importing", "registry", "reporting", "serving", "serving.front",
    "client", "doctor", "errors",
)  # fmt: skip
SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Source|Sources):\s*(.*)")
ITEM = re.compile(r"([*\w.][\w.*, ]*?)(?: \([^)]*\))?: (.*)")
WIDTH = 110


def pages() -> dict[str, str]:
    """Name and text of each page."""
    maas = import_module("maas")
    found = {f"{room}.md": _page(import_module(f"maas.{room}"), room) for room in ROOMS}
    lines = [
        "# API reference",
        "",
        "Written by `python scripts/api_reference.py` from signatures and docstrings; a test holds the two equal. "
        "Names that are not listed here are private and may change at any time.",
        "",
        "| room | what it holds |",
        "| --- | --- |",
        *(f"| [maas.{room}]({room}.md) | {_first(import_module(f'maas.{room}'))} |" for room in ROOMS),
        "",
        "What `maas` itself has, beside these rooms:",
        "",
        "| name | what it is |",
        "| --- | --- |",
    ]
    for name in sorted(set(maas.__all__) - {"__version__"}, key=lambda name: (name.lower(), name)):
        value = getattr(maas, name)
        if not isinstance(value, ModuleType):
            room = next(one for one in sorted(ROOMS) if name in _names(import_module(f"maas.{one}")))
            lines.append(f"| [`maas.{name}`]({room}.md#{_anchor(name, value)}) | {_first(value)} |")
    return {"README.md": "\n".join(lines) + "\n", **found}


def _page(module: ModuleType, room: str) -> str:
    names = _names(module)
    lines = [f"# maas.{room}", "", *_text(module.__doc__ or "")]
    lines += ["", " ".join(f"[{name}](#{_anchor(name, getattr(module, name))})" for name in names)]
    for name in names:
        lines += ["", *_member(name, getattr(module, name), module)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _names(module: ModuleType) -> list[str]:
    """The public names of a room, in an order for reading."""
    found = getattr(module, "__all__", None)
    if found is None:
        found = [name for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
    return sorted((name for name in found if not name.startswith("_")), key=str.lower)


def _member(name: str, value: Any, module: ModuleType) -> Iterator[str]:
    yield f"## {_title(name, value)}"
    yield ""
    if inspect.isclass(value):
        if not (issubclass(value, BaseException) and "__init__" not in vars(value)):
            yield from _signature(name, value)
        yield from _text(value.__doc__ or "")
        for method, found in _methods(value):
            yield from ("", f"### {name}.{method}", "")
            yield from _signature(method, found)
            yield from _text(_doc(found))
    elif inspect.isroutine(value):
        yield from _signature(name, value)
        yield from _text(_doc(value))
    else:
        written, doc = _constant(name, module)
        if len(written) <= WIDTH:
            yield from (f"    {name} = {written}", "")
        yield from _text(doc)


def _title(name: str, value: Any) -> str:
    return f"class {name}" if inspect.isclass(value) else f"{name}()" if inspect.isroutine(value) else name


def _anchor(name: str, value: Any) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w -]", "", _title(name, value)).lower().replace(" ", "-")


def _methods(value: type) -> Iterator[tuple[str, Any]]:
    """What a class of ours, or one of its own bases, documents: methods and properties, in their order."""
    seen = set()
    for owner in value.__mro__:
        if not owner.__module__.startswith("maas"):
            continue
        for name, one in vars(owner).items():
            called = one.__func__ if isinstance(one, (classmethod, staticmethod)) else one
            described = isinstance(called, property) or inspect.isfunction(called)
            if not name.startswith("_") and described and name not in seen and _doc(called):
                seen.add(name)
                yield name, called


def _doc(value: Any) -> str:
    return getattr(value, "__doc__", None) or ""


def _first(value: Any) -> str:
    """The first sentence of a docstring, on one line of a table."""
    text = " ".join(_doc(value).strip().split("\n\n")[0].split())
    return _escaped(re.sub(r"(?<=\.) .*", "", text)).replace("|", "\\|")


def _signature(name: str, value: Any) -> Iterator[str]:
    """As it would be written, in an indented block."""
    if isinstance(value, property):
        value = value.fget
        returned = inspect.signature(value).return_annotation
        yield from (f"    {name}: {_annotation(returned)}", "")
        return
    signature = inspect.signature(value)
    parts, star = [], False
    for one in signature.parameters.values():
        if one.name in ("self", "cls") and not parts:
            continue
        if one.kind is one.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        marks = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        typed = "" if one.annotation is one.empty else f": {_annotation(one.annotation)}"
        default = "" if one.default is one.empty else (" = " if typed else "=") + _default(one.default)
        parts.append(f"{marks}{one.name}{typed}{default}")
    returned = signature.return_annotation
    arrow = "" if returned is signature.empty or inspect.isclass(value) else f" -> {_annotation(returned)}"
    whole = f"{name}({', '.join(parts)}){arrow}"
    if len(whole) <= WIDTH:
        yield from (f"    {whole}", "")
    else:
        yield from (f"    {name}(", *(f"        {part}," for part in parts), f"    ){arrow}", "")


def _annotation(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "__name__", str(value))


def _default(value: Any) -> str:
    text = value.__name__ if inspect.isclass(value) or inspect.isfunction(value) else repr(value)
    return "..." if " at 0x" in text or text == "<factory>" else text


def _constant(name: str, module: ModuleType) -> tuple[str, str]:
    """What a constant or an alias is made of, and the text below it, in the file from which the room takes it."""
    for source in [module, *(one for key, one in sys.modules.items() if key.startswith(f"{module.__name__}._"))]:
        body = ast.parse(inspect.getsource(source)).body
        for one, below in zip(body, [*body[1:], ast.Pass()], strict=True):
            targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                described = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                return ast.unparse(one.value), str(below.value.value) if described else ""
    raise LookupError(f"{name} of {module.__name__} is not written down where it could be found")


def _text(doc: str) -> Iterator[str]:
    """A docstring in Google's style as Markdown."""
    in_section = in_example = False
    for line in inspect.cleandoc(doc).split("\n"):
        section = SECTION.fullmatch(line)
        if line.startswith(">>> "):
            if not in_example:
                yield from ("**Example.**", "")
            in_example = True
        elif not line:
            in_example = False
        if in_example:
            yield f"    {line}"
        elif section:
            in_section = not section[2]
            yield from (f"**{section[1]}.** {_escaped(section[2])}".rstrip(), *[""] * in_section)
        elif in_section and line.startswith("    "):
            item = ITEM.fullmatch(line[4:])
            yield f"- `{item[1]}`: {_escaped(item[2])}" if item else f"  {_escaped(line[4:])}"
        else:
            in_section = in_section and not line
            yield _escaped(line) if not line.startswith("    ") else line


def _escaped(text: str) -> str:
    """What Markdown would take for markup, outside of code."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def main() -> None:
    folder = Path(__file__).parents[1] / "docs" / "api"
    written = pages()
    folder.mkdir(exist_ok=True)
    for stale in set(folder.glob("*.md")) - {folder / name for name in written}:
        stale.unlink()
    for name, text in written.items():
        (folder / name).write_text(text, "utf-8")
    print(f"{len(written)} pages in {folder}")


if __name__ == "__main__":
    main()
