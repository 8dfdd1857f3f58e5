"""Milliseconds of a pass through a network in float32, with batch normalisation folded, fused, in int8, in bfloat16.

    python benchmarks/compress_kernels.py                # all networks, batches of 1 and 8, one thread
    python benchmarks/compress_kernels.py --only resnet18 --threads 2

Networks are made, not trained: this is about time. All forms of a network take turns, in any order, so that a busy
moment hits each; a cell is the median and, in brackets, the tenth percentile. "int8 without kernels" is what a
processor computes that has none. Layers whose work is too little to pay stay in float32, as `maas.compress.quantize`
leaves them. It needs `maas-torch[dev]` for torchvision.
"""

import argparse
import copy
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from environment import versions, where
from torch import nn

import maas
from maas.compress._fold import find_folds
from maas.compress._fuse import find_fused
from maas.compress._int8 import int8_network, plan
from maas.nn import _int8

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet18": (lambda: maas.nn.Backbone("resnet18", 10), (3, 224, 224)),
    "mobilenet": (lambda: maas.nn.Backbone("mobilenet_v3_small", 10), (3, 224, 224)),
    "resnet28": (lambda: maas.nn.ResNet(1, 10), (1, 28, 28)),
    "cnn28": (lambda: maas.nn.CNN(1, 28, 28, 10, filters=(32, 64)), (1, 28, 28)),
    "mlp": (lambda: maas.nn.MLP(100, 10, hidden=(64, 64)), (100,)),
    "mlp_wide": (lambda: maas.nn.MLP(512, 10, hidden=(1024, 1024)), (512,)),
}
_SECONDS = 4.0  # for each line
_LEAST_ROUNDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NETWORKS, nargs="+", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--torchao", action="store_true", help="its linear layers too, where torchao is installed")
    parser.add_argument("--commit", help="what to print as the commit, where this is no clone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    heads = ["network, batch", "float32", "folded", "int8", "bfloat16", "int8 without kernels", "fused"]
    heads += ["fused, bfloat16", "layers in int8"]
    if options.torchao:
        heads[-1:-1] = ["torchao, dynamic", "torchao, weights only"]
    print(f"| {' | '.join(heads)} |")
    print("| --- " * len(heads) + "|")
    for name in options.only:
        forms, count, shape = prepared(name)
        if options.torchao:
            forms += of_torchao(name)
        for batch in (1, 8):
            cells = [f"{middle:.3g} ({least:.3g})" for middle, least in raced(forms, batch, shape)]
            print(f"| {name}, {batch} | {' | '.join(cells)} | {count} |", flush=True)
    print(f"\n{options.threads} thread(s). {where(options.commit)}")
    print(f"Kernels for int8: {_int8.has_kernels()}.", versions(Path(sys.executable), ()))


def prepared(name: str) -> tuple[list[Callable[[torch.Tensor], torch.Tensor]], int, tuple[int, ...]]:
    """The forms of a network, how many of its layers compute in int8, and the shape of a row."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = make().eval()
    field = "image" if len(shape) == 3 else "x"
    if len(shape) == 3:
        network = network.to(memory_format=torch.channels_last)
    rows = {field: torch.randn(16, *shape)}
    folded = find_folds(network, rows).folded(network)
    transform, integers = int8_network(folded, plan(folded, [rows]))
    plain = copy.deepcopy(integers)
    lowered = copy.deepcopy(network).to(torch.bfloat16)
    fused = find_fused(folded, rows).apply(copy.deepcopy(folded)).eval() if len(shape) == 3 else folded
    lowered_fused = copy.deepcopy(fused).to(torch.bfloat16)
    with torch.inference_mode(), patch.object(_int8, "has_kernels", lambda: False):
        plain(**rows)  # what it makes ready here it keeps
    forms = [network, folded, integers, lambda x: lowered(x.bfloat16()).float(), plain]
    forms += [fused, lambda x: lowered_fused(x.bfloat16()).float()]
    return forms, len(transform.layers), shape


def of_torchao(name: str) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """The network with torchao's linear layers: inputs quantised as they come, and only weights."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_

    found = [NETWORKS[name][0]().eval() for _ in range(2)]
    for network, how in zip(found, (Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig), strict=True):
        quantize_(network, how())
    return list(found)


def raced(
    forms: list[Callable[[torch.Tensor], torch.Tensor]], batch: int, shape: tuple[int, ...]
) -> list[tuple[float, float]]:
    """Of each form the median and the tenth percentile, in milliseconds."""
    x = torch.randn(batch, *shape)
    if len(shape) == 3:
        x = x.contiguous(memory_format=torch.channels_last)
    times: list[list[float]] = [[] for _ in forms]
    began = time.perf_counter()
    with torch.inference_mode():
        while len(times[0]) < _LEAST_ROUNDS or time.perf_counter() - began < _SECONDS:
            for place in random.sample(range(len(forms)), len(forms)):  # a busy machine stops any
                forms[place](x)  # what the form before has left in the caches is not this one's
                started = time.perf_counter()
                forms[place](x)
                times[place].append((time.perf_counter() - started) * 1e3)
    return [(statistics.median(found), statistics.quantiles(found, n=10)[0]) for found in times]


if __name__ == "__main__":
    main()
