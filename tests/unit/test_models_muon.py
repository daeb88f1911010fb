"""Muon: torch's to the byte in bfloat16, and in float32 where that is the faster of the two."""

import pytest
import torch

from finegrain.models import _muon
from finegrain.models._muon import Muon, orthogonal

SHAPES = (8, 5), (5, 8), (6, 6)


def moved(make, steps=4):
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    optimizer = make(weights)
    for _ in range(steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
    return [weight.detach() for weight in weights]


@pytest.mark.parametrize("settings", [{"weight_decay": 0.1}, {"weight_decay": 0.0, "momentum": 0.5}])
def test_in_bfloat16_it_is_torchs_to_the_byte(settings, monkeypatch):
    monkeypatch.setattr(_muon, "pick_dtype", lambda *_: torch.bfloat16)
    ours = moved(lambda weights: Muon(weights, lr=0.02, **settings))
    theirs = moved(lambda weights: torch.optim.Muon(weights, lr=0.02, **settings))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_in_float32_it_goes_the_same_way(monkeypatch):
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(_muon, "pick_dtype", lambda *_, dtype=dtype: dtype)
        found.append(moved(lambda weights: Muon(weights, lr=0.02)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=0)
        assert not torch.equal(one, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_step_has_singular_values_near_one_and_the_gradients_directions(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    step = orthogonal(matrix, torch.float32)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ step @ right.T
    assert torch.linalg.svdvals(step).min() > 0.6
    assert torch.linalg.svdvals(step).max() < 1.3
    torch.testing.assert_close(inner, torch.diag(inner.diagonal()), atol=1e-4, rtol=0)
    assert torch.equal(orthogonal(matrix * 8, torch.float32), step)  # the gradient's length does not count


def test_the_momentum_is_not_touched_by_the_step_made_from_it(monkeypatch):
    monkeypatch.setattr(_muon, "pick_dtype", lambda *_: torch.float32)
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = Muon([weight], lr=0.1, momentum=0.75)
    weight.grad = torch.eye(2)
    optimizer.step()
    torch.testing.assert_close(optimizer.state[weight]["momentum_buffer"], 0.25 * torch.eye(2))
    assert torch.equal(weight.grad, torch.eye(2))


def test_vectors_are_refused():
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)
