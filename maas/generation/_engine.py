"""Requests that share a network: each step takes a chunk of one new prompt and a token of every other request."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field

import torch

from maas.errors import DataError
from maas.generation._request import Request
from maas.generation._sampling import pick
from maas.nn import CausalTransformer

CHUNK = 256


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
            caller's to see.
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
    read: int = 0  # prompt tokens in the cache
    tokens: list[int] = field(default_factory=list)  # those added
    logprobs: list[float] = field(default_factory=list)  # of the prompt


class Engine:
    """Runs requests side by side through one network.

    Args:
        network: in evaluation mode.
        slots: most requests at once; the cache for all of them is taken now.
        context: most tokens of a request, prompt and answer; by default the network's.
        chunk: most tokens of a prompt that a step reads, so that others wait no longer than for that.

    Raises:
        DataError: the cache would not fit into memory.
    """

    def __init__(
        self, network: CausalTransformer, *, slots: int, context: int | None = None, chunk: int = CHUNK
    ) -> None:
        self.network, self.slots, self.chunk = network, slots, chunk
        self.context = min(context or network.context, network.context)
        weight = network.embedding.weight
        shape = (slots, network.kv_heads, self.context, network.head_dim)
        self._layers = [
            (
                torch.zeros(shape, dtype=weight.dtype, device=weight.device),
                torch.zeros(shape, dtype=weight.dtype, device=weight.device),
            )
            for _ in network.blocks
        ]
        self._device = weight.device
        self._live: list[_Live] = []  # the first slots, in order

    @property
    def live(self) -> list[Hashable]:
        """The requests that have a slot."""
        return [one.key for one in self._live]

    @property
    def cache_bytes(self) -> int:
        """What the cache takes."""
        return sum(tensor.nbytes for layer in self._layers for tensor in layer)

    def join(self, key: Hashable, request: Request) -> None:
        """Give a request a slot.

        Raises:
            DataError: it is longer than the context, or no slot is free.
        """
        wanted = len(request.tokens) + request.max_tokens
        if wanted > self.context:
            raise DataError(
                f"the prompt has {len(request.tokens)} tokens and `max_tokens` asks for {request.max_tokens} more, "
                f"the model takes {self.context} in all; shorten one of them"
            )
        if len(self._live) == self.slots:
            raise DataError(f"all {self.slots} slots are taken")
        seed = secrets.randbits(53) if request.seed is None else request.seed
        self._live.append(_Live(key, request, seed))

    def leave(self, key: Hashable) -> None:
        """Free a request's slot; the last one moves into it."""
        place = next(place for place, one in enumerate(self._live) if one.key == key)
        last = len(self._live) - 1
        if place < last:
            for keys, values in self._layers:
                keys[place].copy_(keys[last])
                values[place].copy_(values[last])
            self._live[place] = self._live[last]
        self._live.pop()

    @torch.inference_mode()
    def step(self, only: Collection[Hashable] | None = None) -> dict[Hashable, Emitted]:
        """Read a chunk of one prompt, and add a token to every request whose prompt was read before.

        Args:
            only: the requests that take part; None: all. Whoever steps them half by half finds the one that fails.
        """
        some = [place for place, one in enumerate(self._live) if only is None or one.key in only]
        ready = [place for place in some if self._live[place].tokens]
        found: dict[Hashable, Emitted] = {}
        if ready:
            self._decode(ready, found)
        unread = (place for place in some if self._live[place].read < len(self._live[place].request.tokens))
        reading = next(unread, None)
        if reading is not None:
            self._read(reading, found)
        return found

    def _decode(self, places: list[int], found: dict[Hashable, Emitted]) -> None:
        some = [self._live[place] for place in places]
        tokens = torch.tensor([[one.tokens[-1]] for one in some], device=self._device)
        starts = torch.tensor([len(one.request.tokens) + len(one.tokens) - 1 for one in some])
        contiguous = places == list(range(len(places)))
        index = slice(0, len(places)) if contiguous else torch.tensor(places, device=self._device)
        layers = [(keys[index], values[index]) for keys, values in self._layers]
        logits = self.network.logits(self.network.advance(tokens, starts, layers)[:, -1]).float()
        if not contiguous:
            for (keys, values), (new_keys, new_values) in zip(self._layers, layers, strict=True):
                keys[index], values[index] = new_keys, new_values
        for row, one in enumerate(some):
            found[one.key] = self._emit(one, logits[row])

    def _read(self, place: int, found: dict[Hashable, Emitted]) -> None:
        one = self._live[place]
        request = one.request
        chunk = request.tokens[one.read : one.read + self.chunk]
        layers = [(keys[place : place + 1], values[place : place + 1]) for keys, values in self._layers]
        x = self.network.advance(torch.tensor([chunk], device=self._device), torch.tensor([one.read]), layers)[0]
        start, one.read = one.read, one.read + len(chunk)
        is_done = one.read == len(request.tokens)
        if request.echo:
            scores = self.network.logits(x).float().log_softmax(-1)  # (chunk, vocabulary)
            following = torch.tensor(request.tokens[start + 1 : one.read + 1], device=self._device)
            one.logprobs += scores[: len(following)].gather(1, following[:, None])[:, 0].tolist()
        emitted = Emitted()
        if is_done and request.max_tokens:
            emitted = self._emit(one, self.network.logits(x[-1]).float())
        elif is_done:
            emitted.finish = "length"
        if is_done and request.echo:
            emitted.prompt_logprobs = one.logprobs
        found[one.key] = emitted

    def _emit(self, one: _Live, logits: torch.Tensor) -> Emitted:
        request = one.request
        if not bool(torch.isfinite(logits).all()):
            return Emitted(logprob=float("nan"), finish="error")
        seen = torch.tensor([*request.tokens, *one.tokens], device=self._device)
        token = pick(logits, request, seen, one.seed, len(one.tokens))
        scores = logits.log_softmax(-1)
        one.tokens.append(token)
        emitted = Emitted(token, float(scores[token]))
        if request.logprobs:
            top = scores.topk(request.logprobs)
            emitted.top = list(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        if len(one.tokens) == request.max_tokens:
            emitted.finish = "length"
        return emitted
