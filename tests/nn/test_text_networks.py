"""Networks over tokens: padding never changes an answer, and the parts against torch's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

import maas
from maas.errors import RecipeError
from maas.nn import TextBag, TextCNN, TextRNN, TextTransformer
from maas.schema import TensorSpec

NETWORKS: dict[str, nn.Module] = {
    f"{cell} {'both' if both else 'one'} {pooling}": TextRNN(
        30, 3, cell=cell, bidirectional=both, num_layers=2, pooling=pooling, hidden_size=8, seed=0
    )
    for cell in ("lstm", "gru", "rnn")
    for both in (False, True)
    for pooling in ("last", "mean", "max")
}
NETWORKS |= {
    "transformer": TextTransformer(30, 3, width=16, seed=0),
    "cnn": TextCNN(30, 3, widths=(1, 2, 3, 6), seed=0),
    "bag": TextBag(30, 3, seed=0),
}


def batch(rows: int = 9, *, pairs: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([1, 17, 2, 30, 5, 9, 30, 3, 12])[:rows]
    tokens = torch.randint(1, 30, (rows, 30, *[2] * pairs), generator=generator)
    tokens[torch.arange(30) >= lengths[:, None]] = 0
    return tokens, lengths


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_padding_never_changes_an_answer(name: str, pairs: bool) -> None:
    network = NETWORKS[name].eval()
    tokens, lengths = batch(pairs=pairs)
    with torch.no_grad():
        together = network(tokens, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone = network(tokens[row : row + 1, :length], lengths[row : row + 1])
            assert torch.allclose(together[row], alone[0], rtol=0, atol=1e-6)
        garbage = torch.where(tokens == 0, 7, tokens)  # not even what stands in the padding does
        assert torch.allclose(network(garbage, lengths), together, rtol=0, atol=1e-6) or pairs


@pytest.mark.parametrize("both", [False, True])
def test_the_recurrent_network_is_torchs_packed_lstm(both: bool) -> None:
    """Reference: torch's own LSTM of two layers over a packed sequence, with the same weights."""
    network = TextRNN(30, 3, bidirectional=both, num_layers=2, seed=1).eval()
    reference = nn.LSTM(32, 32, num_layers=2, bidirectional=both, batch_first=True)
    for layer in range(2):
        for suffix, cells in (("", network.forwards), ("_reverse", network.backwards)):
            for name, weight in cells[layer].named_parameters() if len(cells) else ():
                getattr(reference, name.replace("l0", f"l{layer}") + suffix).data = weight.data
    tokens, lengths = batch()
    packed = pack_padded_sequence(network.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
    _, (hidden, _) = reference(packed)
    last = torch.cat(list(hidden[-2:] if both else hidden[-1:]), dim=1)
    assert torch.allclose(network(tokens, lengths), network.output(last), atol=1e-6)


def test_the_lessons_network_has_so_many_parameters() -> None:
    """1,000 words, embedding 32, LSTM 32, one sigmoid. Torch's LSTM has two bias vectors, Keras's one: 128 fewer."""
    count = sum(parameter.numel() for parameter in TextRNN(1000, 1).parameters())
    assert count == 32_000 + 4 * (32 * 32 + 32 * 32 + 32 + 32) + 33 == 40_481


def test_the_lessons_network_on_100_steps_with_an_unknown_word() -> None:
    scores = TextRNN(1000, 1)(torch.ones(4, 100, dtype=torch.int64), torch.full((4,), 100))
    assert scores.shape == (4, 1)


def test_a_convolution_by_hand() -> None:
    """Reference: torch.nn.functional over one row, nothing padded but by zeros at its ends."""
    network = TextCNN(30, 2, widths=(3,), embedding_dim=4, channels=5, seed=0).eval()
    tokens = torch.tensor([[3, 4, 5, 6]])
    vectors = network.embedding(tokens).transpose(1, 2)
    found = F.relu(F.conv1d(vectors, network.convolutions[0].weight, network.convolutions[0].bias, padding=1))
    wanted = network.output(found.amax(dim=2))
    assert torch.allclose(network(tokens, torch.tensor([4])), wanted, atol=1e-6)


def test_a_bag_is_a_linear_model_of_counts() -> None:
    """Reference: scikit-learn's counts of words, over the root of the words, times what each word's vector gives."""
    from sklearn.feature_extraction.text import CountVectorizer

    network = TextBag(30, 3, embedding_dim=5, seed=0).eval()
    tokens, lengths = batch()
    texts = [" ".join(map(str, row[:length])) for row, length in zip(tokens.tolist(), lengths, strict=True)]
    names = CountVectorizer(token_pattern=r"\d+", vocabulary=[str(number) for number in range(30)])
    counts = torch.tensor(names.transform(texts).toarray(), dtype=torch.float32) / lengths[:, None].sqrt()
    wanted = counts @ (network.embedding.weight @ network.output.weight.T) + network.output.bias
    assert torch.allclose(network(tokens, lengths), wanted, atol=1e-6)


def test_a_bag_heeds_no_order_and_counts_no_missing_run() -> None:
    network = TextBag(30, 2, seed=0).eval()
    rows = torch.tensor([[[3, 9], [4, 0]], [[4, 9], [3, 0]]])
    one, other = network(rows, torch.tensor([2, 2]))
    assert torch.allclose(one, other, atol=1e-7)
    assert torch.allclose(network(torch.tensor([[3, 4, 9]]), torch.tensor([3]))[0], one, atol=1e-7)


def test_attention_heeds_order() -> None:
    network = TextTransformer(30, 2, width=16, seed=0).eval()
    lengths = torch.tensor([3])
    one, other = network(torch.tensor([[3, 4, 5]]), lengths), network(torch.tensor([[5, 4, 3]]), lengths)
    assert not torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("cls", [TextRNN, TextTransformer, TextCNN, TextBag])
def test_a_seed_gives_equal_weights_and_leaves_torchs_generator_alone(cls: Any) -> None:
    before = torch.get_rng_state()
    one, again, other = (cls(20, 2, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["embedding.weight"], other["embedding.weight"])


@pytest.mark.parametrize("cls", [TextRNN, TextTransformer, TextCNN, TextBag])
def test_sizes_follow_from_the_data(cls: Any) -> None:
    inputs = {"tokens": TensorSpec((None,), "int64", 77), "tokens_lengths": TensorSpec((), "int64")}
    assert cls.sizes(inputs, 3) == {"vocabulary": 77, "out_features": 3}
    with pytest.raises(RecipeError, match="takes `tokens` and `tokens_lengths`, as texts give them, the data gives x"):
        cls.sizes({"x": TensorSpec((3,), "float32")}, 3)


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (TextRNN, {"vocabulary": 0}, "`vocabulary` must be a positive integer, got 0"),
        (TextRNN, {"hidden_size": 2.0}, "`hidden_size` must be a positive integer, got 2.0"),
        (TextRNN, {"num_layers": True}, "`num_layers` must be a positive integer, got True"),
        (TextRNN, {"cell": "qrnn"}, "`cell` must be one of lstm, gru, rnn, got 'qrnn'"),
        (TextRNN, {"pooling": "sum"}, "`pooling` must be one of last, mean, max, got 'sum'"),
        (TextRNN, {"dropout": 1.0}, "`dropout` must be from 0 to below 1, got 1.0"),
        (TextRNN, {"bidirectional": "no"}, "`bidirectional` must be true or false, got 'no'"),
        (TextRNN, {"seed": -1}, "`seed` must be None or an integer"),
        (TextTransformer, {"width": 30}, "`width` must be even and a multiple of `num_heads`, got 30 and 4"),
        (TextBag, {"embedding_dim": 0}, "`embedding_dim` must be a positive integer, got 0"),
        (TextBag, {"dropout": -0.1}, "`dropout` must be from 0 to below 1, got -0.1"),
        (TextCNN, {"widths": ()}, "`widths` must be a sequence of 1 to 100 sizes"),
        (TextCNN, {"widths": (2, 0)}, r"`widths` must be integers from 1 to 1000, got \(2, 0\)"),
    ],
)
def test_a_bad_argument_is_named(cls: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        cls(**{"vocabulary": 30, "out_features": 2, **arguments})


@pytest.mark.parametrize("cls", [TextRNN, TextTransformer, TextCNN, TextBag])
def test_on_the_meta_device_a_giant_costs_nothing(cls: Any) -> None:
    with torch.device("meta"):
        network = cls(10**9, 2)
    assert all(parameter.is_meta for parameter in network.parameters())


def toy() -> maas.data.Rows:
    """The first word says the class; up to eleven that say nothing follow."""
    random = np.random.default_rng(0)
    fill = [f"w{index}" for index in range(20)]
    texts, labels = [], []
    for index in range(500):
        words = [str(word) for word in random.choice(fill, random.integers(2, 12))]
        words.insert(0, ["bad", "good"][index % 2])
        texts.append(" ".join(words))
        labels.append(["-", "+"][index % 2])
    return maas.data.read_texts((texts, labels)).drop_duplicates()


SMALL = [
    maas.recipe(TextRNN),
    maas.recipe(TextTransformer, width=32),
    maas.recipe(TextCNN, embedding_dim=16, channels=8, widths=(2, 3)),
    maas.recipe(TextBag),
]


@pytest.mark.parametrize("recipe", SMALL, ids=["rnn", "transformer", "cnn", "bag"])
def test_each_learns_and_comes_back_from_its_artifact(recipe: Any, tmp_path: Any) -> None:
    train, test = toy().split(seed=0)
    model = maas.fit(recipe, train, epochs=8, learning_rate=0.005, device="cpu", progress=False)
    evaluation = model.evaluate(test, baselines_from=train)
    assert (evaluation.scores["accuracy"] or 0) > 0.9
    assert [one.name for one in evaluation.baselines] == ["majority class", "TF-IDF + logistic regression"]
    loaded = maas.load(model.save(tmp_path / "model"))
    assert loaded.predict(test).to_dicts() == model.predict(test).to_dicts()


def test_a_regression_on_texts() -> None:
    rows = toy()
    texts = rows.columns["text"].tolist()
    scored = maas.data.read_texts((texts, [float(len(text)) for text in texts]), task="regression")
    train, test = scored.split(seed=0)
    model = maas.fit(SMALL[2], train, epochs=1, device="cpu", progress=False)
    assert [one.name for one in model.evaluate(test, baselines_from=train).baselines] == [
        "mean",
        "TF-IDF + ridge regression",
    ]
