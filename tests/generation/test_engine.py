"""maas.generation.Engine: requests side by side answer as alone, and one that fails harms no other."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import pytest
import torch

from maas.errors import DataError
from maas.generation import Emitted, Engine, Request
from maas.nn import CausalTransformer

BAD = 49  # a token that the tests' broken embeddings make something of


@pytest.fixture
def network() -> CausalTransformer:
    made = CausalTransformer(50, context=64, width=32, num_layers=2, num_heads=4, num_kv_heads=2, seed=0).eval()
    for parameter in made.parameters():  # sharper than those of a start, so that answers differ
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return made


def prompt(length: int, seed: int = 0) -> list[int]:
    return torch.randint(0, BAD, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def run(engine: Engine) -> dict[Hashable, list[Emitted]]:
    """What every live request is given until all are finished."""
    found: dict[Hashable, list[Emitted]] = {key: [] for key in engine.live}
    while engine.live:
        for key, emitted in engine.step().items():
            found[key].append(emitted)
            if emitted.finish is not None:
                engine.leave(key)
    return found


def tokens(given: list[Emitted]) -> list[int]:
    return [one.token for one in given if one.token is not None]


SAMPLED = [
    Request(prompt(9, 1), max_tokens=12),
    Request(prompt(3, 2), max_tokens=20, temperature=0.8, seed=1),
    Request(prompt(25, 3), max_tokens=9, temperature=1.2, top_k=7, seed=2),
    Request(prompt(1, 4), max_tokens=15, temperature=1.0, top_p=0.7, seed=3),
    Request(prompt(14, 5), max_tokens=11, temperature=2.0, top_k=20, top_p=0.9, repetition_penalty=1.3, seed=4),
    Request(prompt(7, 6), max_tokens=13, repetition_penalty=1.5),
]


@pytest.mark.parametrize("chunk", [1, 4, 256])
def test_neighbours_and_chunks_change_no_answer(network: CausalTransformer, chunk: int) -> None:
    alone = []
    for request in SAMPLED:
        engine = Engine(network, slots=1)
        engine.join("it", request)
        alone.append(run(engine)["it"])
    engine = Engine(network, slots=3, chunk=chunk)
    waiting, given = list(enumerate(SAMPLED)), [[] for _ in SAMPLED]  # type: list[tuple[int, Request]], list[list[Emitted]]
    while waiting or engine.live:
        if waiting and len(engine.live) < 3:
            engine.join(*waiting.pop(0))
        for key, emitted in engine.step().items():
            assert isinstance(key, int)
            given[key].append(emitted)
            if emitted.finish is not None:
                engine.leave(key)
    for mine, others in zip(alone, given, strict=True):
        assert tokens(others) == tokens(mine)
        wanted = [one.logprob for one in mine if one.token is not None]
        assert [one.logprob for one in others if one.token is not None] == pytest.approx(wanted, abs=1e-4)


def test_a_seed_repeats_a_text_and_another_changes_it(network: CausalTransformer) -> None:
    def text(seed: int | None) -> list[int]:
        engine = Engine(network, slots=1)
        engine.join(0, Request(prompt(5), max_tokens=30, temperature=1.5, seed=seed))
        return tokens(run(engine)[0])

    assert text(7) == text(7)
    assert text(7) != text(8)
    assert text(None) != text(None)


def test_log_probabilities_are_those_of_the_whole_text(network: CausalTransformer) -> None:
    engine = Engine(network, slots=2, chunk=5)
    engine.join("a", Request(prompt(12), max_tokens=6, logprobs=3, echo=True))
    engine.join("b", Request(prompt(8, 1), max_tokens=0, echo=True))
    given = run(engine)
    whole = [*prompt(12), *tokens(given["a"])]
    scores = network(torch.tensor([whole]))[0].log_softmax(-1)  # (steps, vocabulary)
    wanted = scores[:-1].gather(1, torch.tensor(whole)[1:, None])[:, 0].tolist()
    told = next(one.prompt_logprobs for one in given["a"] if one.prompt_logprobs is not None)
    assert told == pytest.approx(wanted[:11], abs=1e-4)
    assert [one.logprob for one in given["a"] if one.token is not None] == pytest.approx(wanted[11:], abs=1e-4)
    last = given["a"][-1]
    top = scores[-2].topk(3)
    assert [token for token, _ in last.top] == top.indices.tolist()
    assert [score for _, score in last.top] == pytest.approx(top.values.tolist(), abs=1e-4)
    assert tokens(given["b"]) == []
    assert given["b"][-1].finish == "length"
    scores = network(torch.tensor([prompt(8, 1)]))[0].log_softmax(-1)
    wanted = scores[:-1].gather(1, torch.tensor(prompt(8, 1))[1:, None])[:, 0].tolist()
    assert given["b"][-1].prompt_logprobs == pytest.approx(wanted, abs=1e-4)


def test_a_long_prompt_holds_the_others_up_by_no_more_than_a_chunk(network: CausalTransformer) -> None:
    """Whoever goes on gets a token in every step, which has no more tokens than a chunk."""
    engine = Engine(network, slots=4, chunk=8)
    engine.join("on", Request(prompt(2), max_tokens=20))
    engine.step()
    passes = []
    network.embedding.register_forward_hook(lambda _, inputs, __: passes.append(inputs[0].numel()))
    engine.join("long", Request(prompt(30, 1), max_tokens=2))
    engine.join("short", Request(prompt(3, 2), max_tokens=2))
    given = [engine.step() for _ in range(6)]
    assert all(one["on"].token is not None for one in given)
    assert passes == [8, 8, 8, 8, 1 + 2 + 3, 1 + 1 + 1]
    assert [one["long"].token is not None for one in given if "long" in one] == [False] * 4 + [True, True]
    assert [one["short"].token is not None for one in given if "short" in one] == [True, True]


def test_a_chunk_that_answers_fill_leaves_one_token_for_prompts(network: CausalTransformer) -> None:
    engine = Engine(network, slots=3, chunk=1)
    for key in range(2):
        engine.join(key, Request(prompt(1, key), max_tokens=9))
        engine.step()
    engine.join("new", Request(prompt(3, 2), max_tokens=1))
    assert [engine.step()["new"].token is not None for _ in range(3)] == [False, False, True]


def test_short_prompts_are_read_in_one_step(network: CausalTransformer) -> None:
    engine = Engine(network, slots=3, chunk=16)
    for key in range(3):
        engine.join(key, Request(prompt(5, key), max_tokens=3))
    assert all(one.token is not None for one in engine.step().values())


def test_who_is_finished_goes_no_further_until_it_leaves(network: CausalTransformer) -> None:
    engine = Engine(network, slots=2)
    engine.join("a", Request(prompt(3), max_tokens=1))
    engine.join("b", Request(prompt(3, 1), max_tokens=4))
    assert engine.step()["a"].finish == "length"
    assert list(engine.step()) == ["b"]
    assert engine.live == ["a", "b"]
    engine.leave("a")
    engine.join("c", Request(prompt(3, 2), max_tokens=4))
    assert set(engine.step()) == {"b", "c"}


def test_a_context_can_be_filled_to_its_end(network: CausalTransformer) -> None:
    engine = Engine(network, slots=2, chunk=20)
    engine.join("full", Request(prompt(40), max_tokens=24))
    engine.join("scored", Request(prompt(64), max_tokens=0, echo=True))
    given = run(engine)
    assert len(tokens(given["full"])) == 24
    assert len(given["scored"][-1].prompt_logprobs or []) == 63


class Fault(RuntimeError):
    pass


def test_a_step_that_raises_changes_nothing_and_its_culprit_is_found(network: CausalTransformer) -> None:
    def fail(_: Any, inputs: Any) -> None:
        if int((inputs[0] == BAD).sum()) >= 3:  # one may be drawn by the others
            raise Fault

    engine = Engine(network, slots=3)
    for key, request in enumerate(SAMPLED[:2]):
        engine.join(key, request)
    wanted = run(engine)
    for key, request in enumerate(SAMPLED[:2]):
        engine.join(key, request)
    before = engine.step()
    engine.join("bad", Request([BAD] * 3, max_tokens=5))
    network.embedding.register_forward_pre_hook(fail)
    with pytest.raises(Fault):
        engine.step()
    with pytest.raises(Fault):
        engine.step(only=["bad"])
    some = engine.step(only=[1])
    assert list(some) == [1]
    engine.leave("bad")
    rest = run(engine)
    assert tokens([before[0], *rest[0]]) == tokens(wanted[0])
    assert tokens([before[1], some[1], *rest[1]]) == tokens(wanted[1])


def test_nan_ends_the_request_it_belongs_to_and_no_other(network: CausalTransformer) -> None:
    with torch.no_grad():
        network.embedding.weight[BAD] = math.nan
    network.head = torch.nn.Linear(32, 50, bias=False)  # or every row's logit of that token would be NaN
    engine = Engine(network, slots=2, chunk=3)
    engine.join("good", SAMPLED[0])
    wanted = tokens(run(engine)["good"])
    engine.join("bad", Request([*prompt(4), BAD, 1], max_tokens=5))
    engine.join("good", SAMPLED[0])
    given = run(engine)
    assert (given["bad"][-1].finish, given["bad"][-1].token) == ("error", None)
    assert tokens(given["good"]) == wanted
    engine.join("scored", Request([*prompt(4), BAD, 1], max_tokens=0, echo=True))
    assert run(engine)["scored"][-1].finish == "error"
    engine.join("gone", Request([BAD, *prompt(20)], max_tokens=5))
    engine.step()
    engine.leave("gone")
    engine.join("good", SAMPLED[0])  # in the slot that held NaN
    assert tokens(run(engine)["good"]) == wanted


def test_what_cannot_join_or_leave_is_told_why(network: CausalTransformer) -> None:
    engine = Engine(network, slots=1)
    with pytest.raises(DataError, match="has 60 tokens and `max_tokens` asks for 5 more, the model takes 64"):
        engine.join(0, Request(prompt(60), max_tokens=5))
    for wrong in ([], [50], [-1]):
        with pytest.raises(DataError, match="`tokens` must be one or more numbers from 0 to 49"):
            engine.join(0, Request(wrong))
    with pytest.raises(DataError, match="no request 'who', it has left or never joined"):
        engine.leave("who")
    engine.join(0, Request([1]))
    with pytest.raises(DataError, match="all 1 slots are taken"):
        engine.join(1, Request([1]))
    wider = Engine(network, slots=2)
    wider.join("a", Request([1]))
    with pytest.raises(DataError, match="there is a request 'a' already"):
        wider.join("a", Request([1]))
    assert engine.live == [0]


@pytest.mark.parametrize(("name", "value"), [("slots", 0), ("context", -1), ("chunk", 2.5)])
def test_arguments_are_checked(network: CausalTransformer, name: str, value: Any) -> None:
    arguments: dict[str, Any] = {"slots": 1, name: value}
    with pytest.raises(DataError, match=f"`{name}` must be a positive integer, got {value}"):
        Engine(network, **arguments)
