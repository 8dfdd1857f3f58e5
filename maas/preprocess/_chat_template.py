"""Conversations to text by a model's own template, which comes with the model and is not trusted."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any

from maas.errors import DataError, FormatError

try:
    import jinja2
    from jinja2 import nodes
    from jinja2.compiler import CodeGenerator
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError as error:
    raise DataError("conversations need: pip install 'maas-torch[generate]'") from error

MOST_STEPS = 250_000
"""Rounds of loops and calls that one rendering may take: about a second of them."""
MOST_SECONDS = 2.0
MOST_CHARACTERS = 1 << 21
"""Of any text or list that a template makes, with all that is in it."""
_WEIGHT = 8  # of what is no text, in characters
_MOST_NUMBER = 10_000  # as an argument: widths, counts
_MOST_BITS = 1 << 12
_GROWING = {"center", "expandtabs", "ljust", "rjust", "translate", "zfill"}
_WRONG = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
_WIDE = re.compile(r"\d{4,}|\*")


class ChatTemplate:
    """A Jinja template as `transformers` renders it, in a sandbox and within bounds.

    The bounds hold for loops, calls, filters, sums, joined texts and lists. One operation of Python's own, between two
    looks at the clock, takes tens of milliseconds at the most.

    It sees `messages`, `add_generation_prompt`, `tools` and `documents` (none), and its special tokens by name; it may
    call `raise_exception` and `strftime_now`, break and continue loops, and mark what a model wrote by `generation`.

    Args:
        source: the template.
        special: names of tokens that it uses, such as `{"bos_token": "<s>"}`.

    Raises:
        FormatError: it cannot be read, or takes more than it may with the shortest conversation.
    """

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        self._environment, self._special = _Bounded(), dict(special)
        try:
            self._template = self._environment.from_string(source)
        except (jinja2.TemplateError, RecursionError, MemoryError, OverflowError, SyntaxError) as error:
            raise FormatError(f"the chat template cannot be read: {str(error)[:300]}") from error
        try:
            self.render([("user", "x")])
        except DataError as error:
            if isinstance(error.__cause__, _TooMuchError):  # others may only want another conversation
                raise FormatError(f"the chat template cannot be used: {error.__cause__}") from error

    def render(self, messages: Sequence[tuple[str, str]]) -> str:
        """The text from which an answer goes on.

        Raises:
            DataError: the template refuses the conversation, fails, or takes more than it may.
        """
        listed = [{"role": role, "content": content} for role, content in messages]
        given = {"tools": None, "documents": None, "add_generation_prompt": True, **self._special}
        self._environment.begin()
        try:
            parts: list[str] = []
            size = 0
            for part in self._template.generate(messages=listed, **given):
                size += len(part)
                self._environment.check_size(size)
                parts.append(part)
            return "".join(parts)
        except _WRONG as error:
            raise DataError(f"the model takes no such conversation: {str(error)[:300]}") from error


class _TooMuchError(jinja2.TemplateError):
    """A template takes more time or room than it may."""


class _Code(CodeGenerator):
    """Python out of a template whose loops and joined texts go through the environment, which counts them."""

    def visit_For(self, node: nodes.For, frame: Any) -> None:
        if not node.recursive:  # those go on by calls, which are counted too
            node.iter = nodes.Call(nodes.EnvironmentAttribute("counted"), [node.iter], [], None, None)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:
        parts = nodes.List(node.nodes)
        self.visit(nodes.Call(nodes.EnvironmentAttribute("joined"), [parts], [], None, None), frame)

    def visit_List(self, node: nodes.List, frame: Any) -> None:
        self.write("environment.checked(")
        super().visit_List(node, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Any) -> None:
        self.write("environment.checked(")
        super().visit_Dict(node, frame)
        self.write(")")

    def visit_Tuple(self, node: nodes.Tuple, frame: Any) -> None:
        if node.ctx != "load":  # the names that a loop or a `set` gives values to
            super().visit_Tuple(node, frame)
            return
        self.write("environment.checked(")
        super().visit_Tuple(node, frame)
        self.write(")")


class _Generation(Extension):
    """`{% generation %}`: what a model wrote, of interest to training only."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)


class _Bounded(ImmutableSandboxedEnvironment):
    """A sandbox that also bounds what a template takes."""

    code_generator_class = _Code
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation])
        self.begin()
        self.filters = {name: self._bounded(one) for name, one in self.filters.items() if name not in _GROWING}
        self.filters["tojson"] = _to_json
        del self.globals["lipsum"]
        self.globals["dict"] = lambda *args, **kwargs: dict(*args, **kwargs)
        self.globals["namespace"] = _Namespace
        self.globals["raise_exception"] = _refuse
        self.globals["strftime_now"] = lambda form: datetime.now().strftime(form)

    def begin(self) -> None:
        """Another rendering begins."""
        self.steps, self.until = 0, time.monotonic() + MOST_SECONDS

    def count(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise _TooMuchError(f"it takes more than {MOST_STEPS:,} steps")
        if time.monotonic() > self.until:
            raise _TooMuchError(f"it takes more than {MOST_SECONDS:g} seconds")

    def check_size(self, size: int) -> None:
        if size > MOST_CHARACTERS:
            raise _TooMuchError(f"it makes more than {MOST_CHARACTERS:,} characters or items")

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.count()
            yield item

    def joined(self, parts: list[Any]) -> str:
        return "".join(map(str, parts))  # the list was checked with all that is in it

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return not (isinstance(obj, str) and attr in _GROWING) and super().is_safe_attribute(obj, attr, value)

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.count()
        owner, name = getattr(getattr(called, "__wrapped__", called), "__self__", None), getattr(called, "__name__", "")
        if called is not self.globals["range"]:
            self._check_arguments(owner, name, args, kwargs)
        found = super().call(context, called, *args, **kwargs)
        return self.checked(found)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.count()
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            self._check_bits(abs(left).bit_length() * max(0, right))
        elif operator == "*":
            sized, times = (left, right) if hasattr(left, "__len__") else (right, left)
            if hasattr(sized, "__len__") and isinstance(times, int):
                self.check_size(len(sized) * max(0, times))
            elif isinstance(left, int) and isinstance(right, int):
                self._check_bits(left.bit_length() + right.bit_length())
        elif operator == "%" and isinstance(left, str):
            self._check_form(left)
        return self.checked(super().call_binop(context, operator, left, right))

    def _bounded(self, wanted: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(wanted)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            self.count()
            text = next((one for one in args if isinstance(one, str)), None)
            self._check_arguments(text, wanted.__name__.removeprefix("do_"), args, kwargs)
            return self.checked(wanted(*args, **kwargs))

        return bounded

    def _check_arguments(self, owner: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        values = [*args, *kwargs.values()]
        if any(isinstance(one, int) and abs(one) > _MOST_NUMBER for one in values) and name != "strftime_now":
            raise _TooMuchError(f"it calls {name or 'a function'} with a number above {_MOST_NUMBER:,}")
        texts = [one for one in values if isinstance(one, str)]
        if isinstance(owner, str) and name in ("format", "format_map"):
            self._check_form(owner)
        elif isinstance(owner, str) and name == "replace" and len(texts) >= 2:
            old, new = texts[-2:]
            self.check_size(len(owner) + (owner.count(old) + 1) * len(new))
        elif name in ("indent", "wordwrap") and isinstance(owner, str):
            widest = max([4, *(one for one in values if isinstance(one, int)), *map(len, texts[1:])])
            self.check_size(len(owner) + (owner.count("\n") + 1) * widest)
        elif isinstance(owner, str) and name == "join" and args and hasattr(args[0], "__len__"):
            self.check_size(len(owner) * len(args[0]))

    def _check_form(self, form: str) -> None:
        if _WIDE.search(form):
            raise _TooMuchError("it formats numbers wider than it may")

    def _check_bits(self, bits: int) -> None:
        if bits > _MOST_BITS:
            raise _TooMuchError(f"it computes with numbers of more than {_MOST_BITS:,} bits")

    def checked(self, value: Any) -> Any:
        """The value, once all that is in it is known to be little: a list may hold another one many times."""
        size, left = 0, [value]
        while left:
            one = left.pop()
            size += len(one) if isinstance(one, str) else _WEIGHT
            if isinstance(one, (list, tuple)):
                self.check_size(size + _WEIGHT * len(one))
                left += one
            elif isinstance(one, dict):
                left += [*one.keys(), *one.values()]
            self.check_size(size)
        return value


class _Namespace(jinja2.utils.Namespace):
    """Jinja's own, without names that begin with an underscore, through which Python's insides can be reached."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *given = args
        attributes = dict(*given, **kwargs)
        for name in attributes:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace has no {name[:60]!r}: names must not begin with an underscore")


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    """JSON that is not for HTML, where < and & would be written otherwise."""
    if isinstance(indent, int) and indent > 64:
        raise _TooMuchError("it indents JSON by more than 64")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
