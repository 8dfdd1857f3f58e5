"""A decoder-only transformer of the Llama family: the next token from those before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import RecipeError, show
from maas.nn._arguments import check_choice, check_dropout, check_num_layers, check_positive, check_seed
from maas.nn._initial import seeded
from maas.nn._kv_cache import KeyValues, Piece, Plan
from maas.nn._register import network
from maas.nn._rotary import rates_of, rotated
from maas.schema import TensorSpec

DTYPES = ("float32", "bfloat16", "float16")


@network("causal_transformer")
class CausalTransformer(nn.Module):
    """Pre-norm decoder blocks: root mean square norms, rotary positions, grouped-query attention, a gated feed-forward.

    Weights of Llama, SmolLM, Mistral, Qwen2 and Qwen3 models fit into it; `maas import-hf` puts them there.

    Args:
        vocabulary: how many different tokens there are.
        context: most tokens of a row.
        width: numbers a token.
        num_layers: decoder blocks.
        num_heads: attention heads.
        num_kv_heads: heads of keys and values, which divides `num_heads`; None: as many as heads.
        head_dim: numbers a head, even; None: `width / num_heads`.
        feed_forward: size of a block's hidden layer; None: 8/3 of the width, rounded up to a multiple of 8.
        rope_theta: base of the rotary positions' wavelengths.
        rope_scaling: None, or how positions are stretched: `{"type": "linear", "factor": 2.0}`, or "llama3" with
            `factor`, `low_freq_factor`, `high_freq_factor` and `original_context`.
        norm_epsilon: added to the mean square.
        tied: whether the head shares the embedding's weights.
        qkv_bias: whether queries, keys and values have a bias, as in Qwen2.
        qk_norm: whether queries and keys are normalised, as in Qwen3.
        dropout: share of numbers dropped in training, of what a block adds.
        dtype: of the weights and of the computation: "float32", "bfloat16" or "float16".
        seed: of the initial weights; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Touvron et al. 2023 (LLaMA), section 2.2; Su et al. 2021 (rotary positions); Ainslie et al. 2023 (grouped
    queries); Shazeer 2020 (SwiGLU); Zhang and Sennrich 2019 (RMSNorm).
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        context: int = 512,
        width: int = 256,
        num_layers: int = 4,
        num_heads: int = 4,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        feed_forward: int | None = None,
        rope_theta: float = 10_000.0,
        rope_scaling: Mapping[str, Any] | None = None,
        norm_epsilon: float = 1e-5,
        tied: bool = True,
        qkv_bias: bool = False,
        qk_norm: bool = False,
        dropout: float = 0.0,
        dtype: str = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        check_positive(vocabulary=vocabulary, context=context, width=width)
        check_positive(num_heads=num_heads, num_kv_heads=kv_heads)
        check_num_layers(num_layers)
        check_dropout(dropout)
        check_seed(seed)
        dim = width // num_heads if head_dim is None else head_dim
        hidden = -(-width * 8 // 24) * 8 if feed_forward is None else feed_forward
        check_positive(head_dim=dim, feed_forward=hidden)
        check_choice("dtype", dtype, DTYPES)
        if num_heads % kv_heads:
            raise RecipeError(f"`num_kv_heads` must divide `num_heads`, got {kv_heads} and {num_heads}")
        if head_dim is None and width % (2 * num_heads):
            raise RecipeError(f"`width` must be an even multiple of `num_heads`, got {width} and {num_heads}")
        if dim % 2:
            raise RecipeError(f"`head_dim` must be even, got {dim}")
        if type(norm_epsilon) not in (int, float) or not 0 <= norm_epsilon < 1:
            raise RecipeError(f"`norm_epsilon` must be a number from 0 to below 1, got {show(norm_epsilon)}")
        self.context, self.kv_heads, self.head_dim = context, kv_heads, dim
        self._rates = rates_of(dim, rope_theta, rope_scaling)
        with seeded(seed):
            self.embedding = nn.Embedding(vocabulary, width)
            blocks = (
                Block(width, num_heads, kv_heads, dim, hidden, norm_epsilon, qkv_bias, qk_norm, dropout)
                for _ in range(num_layers)
            )
            self.blocks = nn.ModuleList(blocks)
            self.norm = nn.RMSNorm(width, eps=norm_epsilon)
            self.head = None if tied else nn.Linear(width, vocabulary, bias=False)
            self._draw(num_layers)
        self.to(getattr(torch, dtype))

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: the vocabulary and the context of the tokenizer."""
        spec = inputs.get("tokens")
        if spec is None or spec.limit is None or spec.longest is None:
            raise RecipeError("a CausalTransformer takes `tokens`, as maas.data.read_corpus and its prompts give them")
        return {"vocabulary": spec.limit, "context": spec.longest}

    def forward(self, tokens: torch.Tensor, tokens_lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens (batch, steps) -> logits of the token after each, (batch, steps, vocabulary).

        A row is padded at its end: what stands there is seen by no earlier step, so lengths are not needed.
        """
        cos, sin = self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        x = self.embedding(tokens)  # (batch, steps, width)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.logits(x)

    def cache(self, *, slots: int, context: int | None = None) -> KeyValues:
        """Room for rows that `advance` goes on with; by default of the network's context."""
        weight = self.embedding.weight
        size = self.context if context is None else context
        return KeyValues(
            len(self.blocks),
            self.kv_heads,
            self.head_dim,
            slots=slots,
            context=size,
            dtype=weight.dtype,
            device=weight.device,
        )

    def advance(self, tokens: torch.Tensor, pieces: Sequence[Piece], cache: KeyValues) -> torch.Tensor:
        """The next tokens of rows whose earlier ones stand in a cache, which takes these too.

        Args:
            tokens: int64 of shape (tokens,), those of the first piece, then those of the second, and so on.
            pieces: which rows they go on, each in a slot of its own.
            cache: of this network.

        Returns:
            What the blocks make of them, of shape (tokens, width); `logits` makes scores of it.
        """
        plan = Plan(pieces, cache)
        cos, sin = (one[:, None] for one in self.positions(plan.positions))  # each (tokens, 1, head_dim)
        x: torch.Tensor = self.embedding(tokens)
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            assert isinstance(block, Block)
            x = block.advance(x, cos, sin, plan, layer)
        return x

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width) -> (..., vocabulary)."""
        x = self.norm(x)
        return weighed(self.embedding.weight, x) if self.head is None else product(self.head, x)

    def positions(self, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of the rotations at these places, each (tokens, head_dim)."""
        angles = torch.outer(at.float(), self._rates.to(at.device))
        angles = torch.cat([angles, angles], dim=1)
        dtype = self.embedding.weight.dtype
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def _draw(self, num_layers: int) -> None:
        """Initial weights: deviation 0.02, less for what adds to the residual stream (Radford et al. 2019)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue
            adds = name.endswith(("output.weight", "down.weight"))
            nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * num_layers) if adds else 0.02)


class Block(nn.Module):
    """Self-attention to earlier tokens, then a gated feed-forward, each of a normalised input and added to it."""

    def __init__(
        self,
        width: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        hidden: int,
        epsilon: float,
        bias: bool,
        qk_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.attention_norm = nn.RMSNorm(width, eps=epsilon)
        self.query = nn.Linear(width, heads * head_dim, bias=bias)
        self.key = nn.Linear(width, kv_heads * head_dim, bias=bias)
        self.value = nn.Linear(width, kv_heads * head_dim, bias=bias)
        self.query_norm = nn.RMSNorm(head_dim, eps=epsilon) if qk_norm else nn.Identity()
        self.key_norm = nn.RMSNorm(head_dim, eps=epsilon) if qk_norm else nn.Identity()
        self.output = nn.Linear(heads * head_dim, width, bias=False)
        self.feed_norm = nn.RMSNorm(width, eps=epsilon)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """x (batch, steps, width); cos, sin (steps, head_dim) -> (batch, steps, width)."""
        query, key, value = self._heads(x, cos, sin)
        heeded = F.scaled_dot_product_attention(
            query, key, value, is_causal=True, enable_gqa=self.heads != self.kv_heads
        )
        return self._added(x, heeded)

    def advance(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, plan: Plan, layer: torch.Tensor
    ) -> torch.Tensor:
        """x (tokens, width); cos, sin (tokens, 1, head_dim) -> (tokens, width)."""
        y = self.attention_norm(x)
        query = self.query_norm(product(self.query, y).view(-1, self.heads, self.head_dim))
        key = self.key_norm(product(self.key, y).view(-1, self.kv_heads, self.head_dim))
        value = product(self.value, y).view(-1, self.kv_heads, self.head_dim)
        x = x + product(self.output, plan.attend(rotated(query, cos, sin), rotated(key, cos, sin), value, layer))
        y = self.feed_norm(x)
        return x + product(self.down, F.silu(product(self.gate, y)) * product(self.up, y))

    def _heads(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries (batch, heads, steps, head_dim), keys and values (batch, kv_heads, steps, head_dim)."""
        batch, steps, _ = x.shape
        x = self.attention_norm(x)
        query = self.query(x).view(batch, steps, self.heads, self.head_dim)
        key = self.key(x).view(batch, steps, self.kv_heads, self.head_dim)
        value = self.value(x).view(batch, steps, self.kv_heads, self.head_dim)
        query, key = self.query_norm(query).transpose(1, 2), self.key_norm(key).transpose(1, 2)
        return rotated(query, cos, sin), rotated(key, cos, sin), value.transpose(1, 2)

    def _added(self, x: torch.Tensor, heeded: torch.Tensor) -> torch.Tensor:
        """heeded (batch, heads, steps, head_dim) -> (batch, steps, width)."""
        x = x + self.dropout(self.output(heeded.transpose(1, 2).flatten(2)))
        fed = self.feed_norm(x)
        out: torch.Tensor = x + self.dropout(self.down(F.silu(self.gate(fed)) * self.up(fed)))
        return out


def product(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What a linear layer makes of x (..., features); what was put in such a layer's place is called as it is."""
    if type(module) is not nn.Linear:
        return module(x)  # type: ignore[no-any-return]
    return weighed(module.weight, x, module.bias)


def weighed(weight: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """weight (outputs, features), x (..., features) -> (..., outputs).

    In half precision on a CPU weights stand first in the product: the library lays the second factor out anew in every
    call, and few tokens are less to lay out.
    """
    if x.dim() != 2 or x.device.type != "cpu" or x.dtype == torch.float32:
        return F.linear(x, weight, bias)
    y = torch.mv(weight, x[0])[None] if len(x) == 1 else torch.mm(weight, x.t()).t().contiguous()
    return y if bias is None else y + bias
