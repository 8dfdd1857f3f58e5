"""Text that goes on from a prompt, token by token."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import DataError, RowError, show
from maas.generation import Engine, Request, TextStream
from maas.metrics import Scores, generation_scores
from maas.preprocess import Language, Preprocess
from maas.schema import Columns, Schema
from maas.task._answers import Answers, Batch
from maas.task._base import Arrays, Target, Task, task
from maas.task._generation_baselines import ngram_baseline

_SLOTS = 8
_NOTHING = -1  # stands behind the last token of the last window
_TEXTS_AT_ONCE = 1_000


@dataclass
class Part:
    """What a step adds to an answer.

    Args:
        text: that is certain by now; may be empty.
        tokens: that the step added, 0 or 1.
        logprob: of that token.
        logprobs: where the row asks for them, a dict for the token: `token`, `logprob`, and the likeliest as `top`, a
            list of such.
        prompt_tokens: in the prompt.
        prompt_logprob: where the row asks for `echo`, the sum over the prompt's tokens; told once.
        prompt_logprobs: where it asks for `logprobs` too, a dict for each of the prompt's tokens, with `token`, and
            `logprob`, which the first one lacks.
        finish_reason: "stop" or "length" in the last part, "error" where the network gave NaN; else None.
    """

    text: str = ""
    tokens: int = 0
    logprob: float = 0.0
    logprobs: list[dict[str, Any]] | None = None
    prompt_tokens: int = 0
    prompt_logprob: float | None = None
    prompt_logprobs: list[dict[str, Any]] | None = None
    finish_reason: str | None = None


class Session:
    """Rows that are answered side by side, token by token; others may join and leave between steps.

    Args:
        network: a `maas.nn.CausalTransformer`.
        language: its tokens.
        slots: most rows at once.
    """

    def __init__(self, network: Any, language: Language, *, slots: int, **options: Any) -> None:
        self.engine = Engine(network, slots=slots, **options)
        self.language = language
        self._texts: dict[Hashable, tuple[Request, TextStream]] = {}

    @property
    def live(self) -> list[Hashable]:
        """The rows that are not finished."""
        return self.engine.live

    @property
    def has_room(self) -> bool:
        """Whether one more row may join."""
        return len(self.engine.live) < self.engine.slots

    def join(self, key: Hashable, batch: Batch, row: int) -> None:
        """Let a prepared row in.

        Raises:
            DataError: there is no room, or it is longer than the model takes.
        """
        request = request_of(batch, row)
        self.engine.join(key, request)
        self._texts[key] = request, TextStream(self.language.decode, request.stop)

    def leave(self, key: Hashable) -> None:
        """Let go of a row."""
        self.engine.leave(key)
        del self._texts[key]

    def step(self, only: Collection[Hashable] | None = None) -> dict[Hashable, Part]:
        """What the next step adds to each row; those whose part has a `finish_reason` have left.

        Args:
            only: the rows that take part; None: all.
        """
        return {key: self._part(key, emitted) for key, emitted in self.engine.step(only).items()}

    def _part(self, key: Hashable, emitted: Any) -> Part:
        request, text = self._texts[key]
        part = Part(prompt_tokens=len(request.tokens), finish_reason=emitted.finish, logprob=emitted.logprob)
        if emitted.prompt_logprobs is not None:
            part.prompt_logprob = math.fsum(emitted.prompt_logprobs)
            if request.logprobs is not None:
                scored = zip(request.tokens[1:], emitted.prompt_logprobs, strict=True)
                first = {"token": self.language.token(request.tokens[0]), "logprob": None}
                part.prompt_logprobs = [first, *(self._named(*one) for one in scored)]
        if emitted.token is not None:
            part.tokens = 1
            if request.logprobs is not None:
                top = [self._named(token, logprob) for token, logprob in emitted.top]
                part.logprobs = [{**self._named(emitted.token, emitted.logprob), "top": top}]
            if emitted.token in self.language.ends:
                part.finish_reason = "stop"
            else:
                part.text = text.add(emitted.token)
        if part.finish_reason is not None and not text.stopped:
            part.text += text.end()
        if text.stopped:
            part.finish_reason = "stop"
        if part.finish_reason is not None:
            self.leave(key)
        return part

    def _named(self, token: int, logprob: float) -> dict[str, Any]:
        return {"token": self.language.token(token), "logprob": logprob}


@dataclass(frozen=True)
class GenerationOptions:
    """How a generation is learned; `Generation.with_options` makes one, and `maas.fit(task=...)` takes it.

    Args:
        window: most tokens of the windows that training packs texts into; None: the context. A model that takes long
            prompts need not be trained on such.

    Raises:
        DataError: the window is out of its range.
    """

    kind: ClassVar[str] = "generation"
    window: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None and (type(self.window) is not int or self.window < 2):
            raise DataError(f"`window` must be an integer from 2 on, or None, got {show(self.window)}")

    def learn(self, target: Target, name: str = "target", schema: Schema | None = None) -> Generation:
        """The task with these options, for rows to learn from."""
        return Generation(self.window)


@task("generation")
@dataclass(frozen=True)
class Generation(Task):
    """Text that goes on from a prompt. The network learns each token from those before it.

    Answers have `text`; `finish_reason`, "stop" where the text came to its end or to a stop string, else "length";
    `prompt_tokens` and `completion_tokens`; `logprob`, the natural log probability of the text's tokens together;
    `prompt_logprob`, that of the prompt's but the first, where the row says `echo`; `logprobs`, token by token, where
    the row asks for them. A row with `max_tokens` 0 and `echo` is scored, which is how texts are evaluated.

    Args:
        window: most tokens of the windows that training packs texts into; None: the context.
        language: the tokens, which the preprocessing has.
        context: most tokens of a row, by the preprocessing.
    """

    kind = "generation"
    needs_target = False
    streams = True
    most_rows = 64

    window: int | None = None
    language: Language | None = field(default=None, repr=False)
    context: int = field(default=1, repr=False)

    @staticmethod
    def with_options(*, window: int | None = None) -> GenerationOptions:
        """This task, told how: `maas.fit(recipe, train, task=Generation.with_options(window=256))`.

        Args: those of `GenerationOptions`.
        """
        return GenerationOptions(window)

    @classmethod
    def learn(cls, target: Target, name: str = "target", schema: Schema | None = None) -> Generation:
        return cls()

    def knowing(self, preprocess: Preprocess) -> Generation:
        """The same task with the tokens that a preprocessing has."""
        language, context = getattr(preprocess, "language", None), getattr(preprocess, "context", None)
        if not isinstance(language, Language) or not isinstance(context, int):
            raise DataError("a generation needs a preprocessing of prompts, such as maas.preprocess.Prompt")
        if (self.window or 0) > context:
            raise DataError(f"`window` must be at most the context, {context}, got {self.window}")
        return replace(self, language=language, context=context)

    @property
    def num_outputs(self) -> int:
        return 0 if self.language is None else len(self.language)

    def misfit(self, network: nn.Module, batch: Batch) -> str | None:
        tokens = batch.inputs["tokens"]
        return self._misfit(network(tokens, batch.inputs["tokens_lengths"]), (*tokens.shape, self.num_outputs))

    def encode(self, target: Target) -> torch.Tensor:
        """Nothing of the target is learned: it is the size of each text in bytes."""
        return torch.zeros(len(target))

    def lessons(self, columns: Columns) -> Batch:
        """The texts end to end, cut into windows: one uniform tensor, padded at the end of the last window only.

        A window's last token is the next one's first. Texts that follow one another see each other.
        """
        assert self.language is not None
        joined = self._joined(columns["prompt"])
        size = self.window or self.context
        count = max(1, -(-(len(joined) - 1) // size))
        windows = np.full((count, size + 1), _NOTHING, np.int32)
        for place in range(count):
            piece = joined[place * size : (place + 1) * size + 1]
            windows[place, : len(piece)] = piece
        return Batch({"tokens": torch.from_numpy(windows)})

    def _joined(self, texts: Any) -> np.ndarray[Any, Any]:
        """All tokens: of each text its beginning, itself, and its end where that is another token."""
        assert self.language is not None
        begin, ends = self.language.begin, self.language.ends[:1]
        end = [] if ends == (begin,) else list(ends)
        parts: list[np.ndarray[Any, Any]] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):  # lists of Python's integers take nine times as much room
            some = list(texts[start : start + _TEXTS_AT_ONCE])
            if None in some:
                row = start + some.index(None)
                raise RowError(row, "prompt", "a generation learns from texts: give `prompt`, not `messages`")
            tokens = self.language.encode(some)
            parts.append(np.fromiter((number for one in tokens for number in (*one, *end)), np.int32))
        if ends == (begin,):
            parts.append(np.array(ends, np.int32))
        joined = np.concatenate(parts)
        if len(joined) < 2:
            raise DataError("the texts must hold at least two tokens to learn from")
        return joined

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Cross entropy of each token of a window after the first, in nats, summed over the window."""
        tokens = batch.inputs["tokens"].long()
        following = tokens[:, 1:]
        logits = network(tokens[:, :-1].clamp(min=0))  # (batch, steps, vocabulary)
        losses = F.cross_entropy(
            logits.flatten(0, 1).float(), following.flatten(), reduction="none", ignore_index=_NOTHING
        )
        return losses.view(following.shape).sum(dim=1)

    def units(self, batch: Batch) -> torch.Tensor | None:
        return (batch.inputs["tokens"][:, 1:] != _NOTHING).sum(dim=1)

    @property
    def most_units(self) -> int:
        return self.window or self.context

    def figures(self, loss: float) -> dict[str, float]:
        """Perplexity: the exponential of the mean loss of a token."""
        return {"perplexity": math.exp(min(loss, 700.0))}

    def session(self, network: nn.Module, *, slots: int = _SLOTS, **options: Any) -> Session:
        """What answers rows side by side; servers let rows join and leave it between steps."""
        assert self.language is not None
        return Session(network, self.language, slots=slots, **options)

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        wanted = batch.inputs["tokens_lengths"] + batch.inputs["options"][:, 0]  # tokens of prompt and answer
        session = self.session(network, slots=min(_SLOTS, len(batch)), context=int(wanted.max()))
        waiting = list(range(len(batch)))
        while waiting or session.live:
            while waiting and session.has_room:
                row = waiting.pop(0)
                session.join(row, batch, row)
            found = session.step()
            yield _answers([found.get(row, Part()) for row in range(len(batch))])

    def join(self, stream: Iterable[Answers]) -> Answers:
        parts = list(stream)
        return parts[0] if len(parts) == 1 else answers_of(list(zip(*map(_parts, parts), strict=True)))

    def score(self, answers: Answers, truth: Target) -> Scores:
        return generation_scores(truth, answers["prompt_logprob"], answers["prompt_tokens"])

    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        assert self.language is not None
        return ngram_baseline(self.language, list(train["prompt"]), list(test["prompt"]))

    def meaning(self) -> dict[str, Any]:
        return {"apply": "softmax", "answer": "the outputs are logits of the token after each"}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {}, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema | None = None) -> Generation:
        return cls()


def answers_of(rows: Sequence[Sequence[Part]]) -> Answers:
    """The answers that the parts of each row make, as `Generation.join` gives them."""
    return _answers([_whole(parts) for parts in rows])


def _whole(parts: Sequence[Part]) -> Part:
    return Part(
        text="".join(part.text for part in parts),
        tokens=sum(part.tokens for part in parts),
        logprob=sum(part.logprob for part in parts),
        logprobs=[one for part in parts for one in part.logprobs or ()] or None,
        prompt_tokens=max(part.prompt_tokens for part in parts),
        prompt_logprob=next((part.prompt_logprob for part in parts if part.prompt_logprob is not None), None),
        finish_reason=next((part.finish_reason for part in reversed(parts) if part.finish_reason is not None), None),
    )


def request_of(batch: Batch, row: int) -> Request:
    """What a prepared row asks for."""
    inputs = batch.inputs
    tokens = inputs["tokens"][row, : int(inputs["tokens_lengths"][row])].tolist()
    most, temperature, top_k, top_p, penalty, seed, logprobs, echo = inputs["options"][row].tolist()
    stop = bytes(inputs["stop"][row, : int(inputs["stop_lengths"][row])].tolist())
    return Request(
        tokens,
        max_tokens=int(most),
        temperature=temperature,
        top_k=int(top_k),
        top_p=top_p,
        repetition_penalty=penalty,
        seed=None if math.isnan(seed) else int(seed),
        logprobs=None if math.isnan(logprobs) else int(logprobs),
        echo=bool(echo),
        stop=[one.decode() for one in stop.split(b"\0")[:-1]],
    )


def _answers(parts: list[Part]) -> Answers:
    return Answers(
        {
            "text": _objects([part.text for part in parts]),
            "finish_reason": _objects([part.finish_reason for part in parts]),
            "prompt_tokens": np.array([part.prompt_tokens for part in parts], np.int64),
            "completion_tokens": np.array([part.tokens for part in parts], np.int64),
            "logprob": np.array([part.logprob for part in parts], np.float64),
            "prompt_logprob": _objects([part.prompt_logprob for part in parts]),
            "logprobs": _objects([part.logprobs for part in parts]),
        }
    )


def _parts(answers: Answers) -> list[Part]:
    """The inverse of `_answers`."""
    named = {"completion_tokens": "tokens"}
    columns = {named.get(name, name): column.tolist() for name, column in answers.columns.items()}
    return [Part(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _objects(values: list[Any]) -> np.ndarray[Any, Any]:
    column = np.empty(len(values), object)
    column[:] = values
    return column
