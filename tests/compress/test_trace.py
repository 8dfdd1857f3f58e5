"""Who reads what a module gives, found by running the network; and which batch normalisations that lets fold."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import maas
from maas.compress._fold import find_folds
from maas.compress._int8 import int8_network, plan
from maas.compress._trace import trace

IMAGES = {"image": torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))}


def normalised(network: nn.Module, least: float = 0.5) -> nn.Module:
    """With statistics as if it were trained."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                shape = module.weight.shape
                module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.1)
                module.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
                module.weight.copy_(torch.rand(shape, generator=generator) + least)
    return network.eval()


class Block(nn.Module):
    """A convolution of its own twice over, with a sum that no module makes."""

    def __init__(self, *, residual: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.second, self.third = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        self.last = nn.Linear(64, 32)
        self.residual = residual

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.first(image)))
        y = self.second(x)
        y = self.relu(y + x if self.residual else y)
        return self.last(self.third(y).amax(dim=(2, 3)))


def test_a_sum_outside_of_modules_is_a_reader():
    plain, residual = (trace(Block(residual=one).eval(), IMAGES) for one in (False, True))
    assert plain.readers["relu", 0] == {("second", 0)}
    assert residual.readers["relu", 0] == {("second", 0), None}
    assert residual.readers["second", 0] == {None}
    assert plain.readers["second", 0] == {("relu", 1)}
    assert plain.readers["third", 0] == {None}
    assert list(plain.after("first")) == [("norm", 0), ("relu", 0), ("second", 0), ("relu", 1), ("third", 0)]
    assert list(residual.after("first")) == [("norm", 0), ("relu", 0)]
    assert plain.calls == {"first": 1, "norm": 1, "relu": 2, "second": 1, "third": 1, "last": 1}
    assert plain.work["second"] == 48 * 48 * 64 * 64 * 9


def test_weights_that_others_read_are_shared():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.c.bias = self.b.bias

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(self.b(self.a(x))) + F.linear(x, self.a.weight)

    found = trace(Tied(), {"x": torch.zeros(1, 4)})
    assert found.shared == {"a", "b", "c"}
    assert found.alone(nn.Linear) == []


def test_codes_go_on_only_where_the_next_layer_alone_reads_them():
    for residual in (False, True):
        network = normalised(Block(residual=residual))
        folds = find_folds(network, IMAGES)
        assert folds.pairs == (("first", "norm"),)
        folded = folds.folded(network)
        int8, made = int8_network(folded, plan(folded, [IMAGES]))
        forms = {form.name: (form.relu, form.uint8) for form in int8.layers}
        assert forms == {
            "first": (True, not residual),
            "second": (not residual, not residual),
            "third": (False, False),
        }
        assert int8.fused == ()  # the ReLU is called twice
        with torch.no_grad():
            wanted, found = network(**IMAGES), made(**IMAGES)
        assert 0 < (found - wanted).norm() < 0.05 * wanted.norm()


def test_behind_a_maximum_only_scales_that_are_not_negative_fold():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.BatchNorm2d(8), nn.ReLU())
    network.register_forward_pre_hook(lambda module, args, kwargs: ((kwargs["image"],), {}), with_kwargs=True)
    assert find_folds(normalised(network), IMAGES).pairs == (("0", "2"),)
    assert find_folds(normalised(network, least=-0.5), IMAGES).pairs == ()


def test_networks_of_this_library_and_torchvision_fold_wholly():
    for network, count in ((maas.nn.ResNet(3, 2, width=8), 7), (maas.nn.Backbone("resnet18", 2), 20)):
        assert len(find_folds(normalised(network), IMAGES).pairs) == count


def test_a_normalisation_by_the_batch_itself_stays():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)).eval()
    network.register_forward_pre_hook(lambda module, args, kwargs: ((kwargs["image"],), {}), with_kwargs=True)
    assert find_folds(network, IMAGES).pairs == ()
