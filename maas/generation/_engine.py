"""Requests that share a network: each step reads a chunk of new prompts and adds a token to every other request."""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice

import torch

from maas.errors import DataError, show
from maas.generation._memory import slot_bytes, slots_that_fit
from maas.generation._request import Request
from maas.generation._sampling import Draw, pick
from maas.nn import CausalTransformer, Piece

CHUNK = 256
_SCORED = 1 << 23  # most logits at once when prompts are scored


@dataclass
class Emitted:
    """What a step gave a request.

    Args:
        token: the next token; None where the prompt was only read.
        logprob: the token's natural log probability, before temperature and the like.
        top: the likeliest tokens and their log probabilities, where the request asks for them.
        prompt_logprobs: log probabilities of the prompt's tokens but the first, where the request asks for `echo`; told
            once the prompt is read.
        finish: "length" once the request has all its tokens, "error" where the network gave NaN; the end of text is the
            caller's to see. Who is finished stays in its slot, and takes no further part, until it leaves.
    """

    token: int | None = None
    logprob: float = 0.0
    top: list[tuple[int, float]] = field(default_factory=list)
    prompt_logprobs: list[float] | None = None
    finish: str | None = None


@dataclass
class _Live:
    """A request that has a slot."""

    key: Hashable
    request: Request
    seed: int
    slot: int
    read: int = 0  # prompt tokens in the cache
    tokens: list[int] = field(default_factory=list)  # those added
    logprobs: list[float] = field(default_factory=list)  # of the prompt
    is_finished: bool = False
    is_sound: bool = True  # whether what its slot holds is known to be finite

    @property
    def unread(self) -> int:
        return len(self.request.tokens) - self.read

    @property
    def next_tokens(self) -> Sequence[int]:
        return self.request.tokens[self.read :] if self.unread else self.tokens[-1:]

    def adds(self, count: int) -> bool:
        """Whether a token follows, once so many of the next ones are read."""
        return self.unread <= count and self.request.max_tokens > 0

    def accept(self, count: int, emitted: Emitted, logprobs: list[float]) -> None:
        """Take what a pass over the next tokens gave, and tell what is still to be told."""
        if self.unread:
            self.read += count
            self.logprobs += logprobs
            if not self.unread and self.request.echo:
                emitted.prompt_logprobs = self.logprobs
        if emitted.token is not None or logprobs:
            self.is_sound = math.isfinite(emitted.logprob) and all(map(math.isfinite, logprobs))
            if not self.is_sound:
                emitted.token, emitted.top, emitted.prompt_logprobs, emitted.finish = None, [], None, "error"
        if emitted.token is not None:
            self.tokens.append(emitted.token)
        if emitted.finish is None and not self.unread and len(self.tokens) == self.request.max_tokens:
            emitted.finish = "length"
        self.is_finished = emitted.finish is not None


class Engine:
    """Runs requests side by side through one network.

    Args:
        network: in evaluation mode.
        slots: most requests at once; the cache for all of them is taken now.
        context: most tokens of a request, prompt and answer; by default the network's.
        chunk: most tokens of a step, so that nobody waits longer than for that: prompts get what the next tokens of
            answers leave of it. Where those alone fill it, prompts get one token besides.

    Raises:
        DataError: an argument is out of its range, or the cache would not fit into memory.
    """

    def __init__(
        self, network: CausalTransformer, *, slots: int, context: int | None = None, chunk: int = CHUNK
    ) -> None:
        context = network.context if context is None else context
        for name, value in {"slots": slots, "context": context, "chunk": chunk}.items():
            if type(value) is not int or value < 1:
                raise DataError(f"`{name}` must be a positive integer, got {show(value)}")
        self.network, self.slots, self.chunk = network, slots, chunk
        self.context = min(context, network.context)
        if (fitting := slots_that_fit(network, self.context)) < slots:
            raise DataError(
                f"{slots} slots of {self.context} tokens do not fit into memory, {fitting} would; choose fewer `slots` "
                "or a smaller `context`"
            )
        self._cache = network.cache(slots=slots, context=self.context)
        self._vocabulary, self._device = network.embedding.weight.shape[0], network.embedding.weight.device
        self._live: list[_Live] = []  # as they joined; they hold the first slots, in any order

    @property
    def live(self) -> list[Hashable]:
        """The requests that have a slot."""
        return [one.key for one in self._live]

    @property
    def cache_bytes(self) -> int:
        """What the cache takes."""
        return self.slots * slot_bytes(self.network, self.context)

    def join(self, key: Hashable, request: Request) -> None:
        """Give a request a slot.

        Raises:
            DataError: it is longer than the context, its tokens are not the network's, no slot is free, or there is one
                of this key.
        """
        count = len(request.tokens)
        if count + request.max_tokens > self.context:
            raise DataError(
                f"the prompt has {count} tokens and `max_tokens` asks for {request.max_tokens} more, "
                f"the model takes {self.context} in all; shorten one of them"
            )
        if not count or not 0 <= min(request.tokens) <= max(request.tokens) < self._vocabulary:
            raise DataError(f"a request's `tokens` must be one or more numbers from 0 to {self._vocabulary - 1}")
        if len(self._live) == self.slots:
            raise DataError(f"all {self.slots} slots are taken; wait until a request leaves")
        if key in self.live:
            raise DataError(f"there is a request {show(key)} already, let it leave first")
        seed = secrets.randbits(53) if request.seed is None else request.seed
        self._live.append(_Live(key, request, seed, slot=len(self._live)))

    def leave(self, key: Hashable) -> None:
        """Free a request's slot; who holds the last one moves into it.

        Raises:
            DataError: there is no such request.
        """
        gone = next((one for one in self._live if one.key == key), None)
        if gone is None:
            raise DataError(f"there is no request {show(key)}, it has left or never joined")
        self._live.remove(gone)
        if not gone.is_sound:
            self._cache.clear(gone.slot)
        last = next((one for one in self._live if one.slot == len(self._live)), None)
        if last is not None:
            self._cache.move(last.slot, gone.slot, last.read + len(last.tokens))
            if not last.is_sound:
                self._cache.clear(last.slot)
            last.slot = gone.slot

    @torch.inference_mode()
    def step(self, only: Collection[Hashable] | None = None) -> dict[Hashable, Emitted]:
        """Read a chunk of new prompts, and add a token to every request whose prompt was read before.

        A step that raises has changed nothing: `step(only=...)` on halves of `live` finds whose fault it is, so that
        this one may leave.

        Args:
            only: the requests to go on with; None: all.

        Returns:
            What it gave each; a request that waits for its turn to be read is not there.
        """
        some = [one for one in self._live if not one.is_finished and (only is None or one.key in only)]
        parts = [(one, 1) for one in sorted(some, key=lambda one: one.slot) if not one.unread]
        room = max(1, self.chunk - len(parts))
        for one in some:
            if one.unread and room:
                parts.append((one, min(one.unread, room)))
                room -= parts[-1][1]
        return self._pass(parts) if parts else {}

    def _pass(self, parts: list[tuple[_Live, int]]) -> dict[Hashable, Emitted]:
        """One pass of the network over the next tokens of some requests, so many of each."""
        for one, _ in parts:
            one.is_sound = False
        tokens = torch.tensor([token for one, count in parts for token in one.next_tokens[:count]])
        pieces = [Piece(one.slot, one.read + max(0, len(one.tokens) - 1), count) for one, count in parts]
        x = self.network.advance(tokens.to(self._device), pieces, self._cache)  # (tokens, width)
        ends = list(accumulate(count for _, count in parts))
        prompts = self._scored(x, parts, ends)
        added = self._added(
            x, [(one, end - 1) for (one, count), end in zip(parts, ends, strict=True) if one.adds(count)]
        )
        found = {one.key: added.get(one.key, Emitted()) for one, _ in parts}
        for one, count in parts:
            one.accept(count, found[one.key], prompts.get(one.key, []))
        return found

    def _added(self, x: torch.Tensor, rows: list[tuple[_Live, int]]) -> dict[Hashable, Emitted]:
        """The next tokens of requests whose last one is at these places of x; one transfer for all of them."""
        if not rows:
            return {}
        logits = self.network.logits(x[torch.tensor([place for _, place in rows], device=self._device)]).float()
        total = logits.logsumexp(-1, keepdim=True)  # (rows, 1)
        sound = torch.isfinite(total)
        logits = torch.where(sound, logits, 0.0)
        tokens = pick(logits, [Draw(one.request, one.seed, one.tokens) for one, _ in rows])[:, None]
        scores = torch.where(sound, logits.gather(1, tokens) - total, math.nan)
        told = torch.cat([tokens.double(), scores.double()], dim=1).tolist()
        found = {one.key: Emitted(int(token), score) for (one, _), (token, score) in zip(rows, told, strict=True)}
        for row, (one, _) in enumerate(rows):
            if one.request.logprobs:
                top = (logits[row] - total[row]).topk(one.request.logprobs)
                found[one.key].top = list(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        return found

    def _scored(self, x: torch.Tensor, parts: list[tuple[_Live, int]], ends: list[int]) -> dict[Hashable, list[float]]:
        """Log probabilities of the tokens after those of x, in prompts that are to be scored."""
        places: list[int] = []
        following: list[int] = []
        owners: list[tuple[Hashable, int]] = []
        for (one, count), end in zip(parts, ends, strict=True):
            if one.request.echo and one.unread:
                after = one.request.tokens[one.read + 1 : one.read + count + 1]
                places += range(end - count, end - count + len(after))
                following += after
                owners.append((one.key, len(after)))
        scores: list[float] = []
        size = max(1, _SCORED // self._vocabulary)
        for start in range(0, len(places), size):
            some = slice(start, start + size)
            at, next_tokens = torch.tensor([places[some], following[some]]).to(self._device)
            logits = self.network.logits(x[at]).float()
            scores += (logits.gather(1, next_tokens[:, None])[:, 0] - logits.logsumexp(-1)).tolist()
        stream = iter(scores)
        return {key: list(islice(stream, count)) for key, count in owners}
