"""Recurrent layers as loops that a graph can hold for any number of steps.

torch.export unrolls `nn.LSTM`, `nn.GRU` and `nn.RNN` over the steps of its example, so that the graph would take
sequences of that length alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch._higher_order_ops.scan import scan
from torch.nn import functional as F

State = tuple[torch.Tensor, ...]
Step = Callable[[State, torch.Tensor], tuple[State, torch.Tensor]]


def with_scans(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode, its recurrent layers replaced by `Scan`s."""
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.RNNBase) and _is_plain(child):
                setattr(module, name, Scan(child))
    return copied


class Scan(nn.Module):
    """What a recurrent layer of one direction computes from a start of zeros, step by step.

    Args:
        layer: an LSTM, GRU or tanh RNN of one layer, `batch_first`.

    Source: the equations in the documentation of torch.nn.LSTM, GRU and RNN.
    """

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.cell = layer.mode
        self.hidden_size = layer.hidden_size
        self.given, self.held, self.given_bias, self.held_bias = layer.all_weights[0]

    def forward(self, sequence: torch.Tensor) -> tuple[torch.Tensor, None]:
        """(batch, steps, features) -> (batch, steps, hidden_size), and nothing in the place of the last state."""
        given = F.linear(sequence, self.given, self.given_bias).transpose(0, 1)  # (steps, batch, gates)
        start = sequence.new_zeros(sequence.shape[0], self.hidden_size)
        states = (start, start.clone()) if self.cell == "LSTM" else (start,)
        _, outputs = scan(self._step, states, given)
        return outputs.transpose(0, 1), None

    def _step(self, states: State, given: torch.Tensor) -> tuple[State, torch.Tensor]:
        held = F.linear(states[0], self.held, self.held_bias)
        if self.cell == "LSTM":
            enter, forget, cell, out = (given + held).chunk(4, 1)
            memory = forget.sigmoid() * states[1] + enter.sigmoid() * cell.tanh()
            hidden = out.sigmoid() * memory.tanh()
            return (hidden, memory), hidden.clone()  # a scan may not give out what it keeps
        if self.cell == "GRU":
            reset, update, new = given.chunk(3, 1)
            held_reset, held_update, held_new = held.chunk(3, 1)
            update = (update + held_update).sigmoid()
            new = (new + (reset + held_reset).sigmoid() * held_new).tanh()
            hidden = (1 - update) * new + update * states[0]
        else:
            hidden = (given + held).tanh()
        return (hidden,), hidden.clone()


def _is_plain(layer: nn.RNNBase) -> bool:
    """Whether it is as the layers of maas.nn are; what is not is left to torch."""
    return (
        layer.mode in ("LSTM", "GRU", "RNN_TANH")
        and layer.num_layers == 1
        and layer.batch_first
        and layer.bias
        and not layer.bidirectional
        and not layer.proj_size
    )
