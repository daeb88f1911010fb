"""The training loop: it minimises, repeats itself, and says when it cannot go on."""

import itertools

import pytest
import torch

from finegrain.models.train import _rate, fit
from finegrain.seeding import seeded


def line():
    with seeded(0):
        return torch.nn.Linear(3, 1)


def squared(model, batch):
    inputs, targets = batch
    return (model(inputs).squeeze(1).float() - targets).pow(2).mean()


def points():
    inputs = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    return itertools.repeat((inputs, inputs @ torch.tensor([1.0, -2.0, 0.5]) + 3))


def test_it_finds_the_least_squares_line():
    model = line()
    history = fit(model, points(), squared, steps=300, learning_rate=0.1, weight_decay=0.0, dtype="float32")
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[1.0, -2.0, 0.5]]), atol=1e-2, rtol=0)
    assert history["loss"].iloc[-1] < 1e-4 < history["loss"].iloc[0]
    assert history["step"].tolist() == list(range(1, 301))
    assert not model.training


def test_it_repeats_itself_to_the_bit():
    first, second = line(), line()
    for model in (first, second):
        fit(model, points(), squared, steps=20, learning_rate=0.1)
    assert torch.equal(first.weight, second.weight)


def test_decay_pulls_matrices_and_leaves_biases():
    model = line()
    before = model.weight.detach().clone(), model.bias.detach().clone()
    fit(model, points(), lambda m, b: 0 * squared(m, b), steps=1, learning_rate=0.1, weight_decay=0.5, dtype="float32")
    torch.testing.assert_close(model.weight.detach(), before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(model.bias, before[1])


def test_frozen_weights_stay():
    model = line()
    model.bias.requires_grad_(False)
    before = model.bias.clone()
    fit(model, points(), squared, steps=3, learning_rate=0.1)
    assert torch.equal(model.bias, before)


def test_muon_moves_a_hidden_matrix_by_its_rate_in_every_direction_and_adamw_the_rest():
    with seeded(0):
        model = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 7, bias=False))
    model[2].weight = model[0].weight  # a head tied to the embeddings is no hidden matrix
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    words = torch.arange(7)
    rates = {"learning_rate": 0.25, "muon_rate": 0.125, "weight_decay": 0.0}
    fit(
        model,
        [words],
        lambda m, b: torch.nn.functional.cross_entropy(m(b).float(), b),
        steps=1,
        dtype="float32",
        clip=1e9,
        **rates,
    )
    moved = {name: p.detach() - before[name] for name, p in model.named_parameters()}
    singular = torch.linalg.svdvals(moved["1.weight"])
    assert 0.6 * 0.125 < singular.min() < singular.max() < 1.3 * 0.125  # five Newton-Schulz steps come this close to 1
    torch.testing.assert_close(moved["0.weight"].abs(), torch.full((7, 4), 0.25), rtol=0.01, atol=0)
    torch.testing.assert_close(moved["1.bias"].abs(), torch.full((4,), 0.25), rtol=0.01, atol=0)


def test_the_rate_rises_to_one_and_falls_to_nothing():
    rates = [_rate(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1
    assert rates[-1] < 0.001
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_it_stops_when_batches_or_numbers_run_out():
    with pytest.raises(ValueError, match="ran out before step 2 of 3"):
        fit(line(), [next(points())], squared, steps=3, learning_rate=0.1)
    with pytest.raises(FloatingPointError, match="step 1; lower learning_rate"):
        fit(line(), points(), lambda m, b: squared(m, b) * float("nan"), steps=3, learning_rate=0.1)
