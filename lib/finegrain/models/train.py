"""One small training loop for every model that the notebooks train."""

import math
import time
from collections.abc import Callable, Iterable

import pandas as pd
import torch
from tqdm.auto import tqdm

from finegrain.models._device import autocast, pick_dtype
from finegrain.models._muon import Muon


def fit(
    model: torch.nn.Module,
    batches: Iterable,
    loss: Callable,
    *,
    steps: int,
    learning_rate: float,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    clip: float = 1.0,
    muon_rate: float = 0.0,
    dtype: str = "auto",
    on_step: Callable | None = None,
    progress: str | None = None,
) -> pd.DataFrame:
    """Train `model` in place for a fixed number of steps; the rate rises linearly, then falls as a cosine.

    AdamW moves everything, or, with `muon_rate`, all but the hidden matrices, which Muon moves (Jordan et al., 2024:
    each step is the momentum with its singular values set to one). Short training of a transformer gets further so.

    batches: yields at least `steps` batches, of whatever kind `loss` takes.
    loss: (model, batch) -> scalar tensor.
    warmup: share of the steps in which the rate rises.
    weight_decay: for matrices only; biases, norms and other vectors are left alone.
    clip: largest norm of the whole gradient.
    muon_rate: Muon's peak rate, often 0.01 to 0.05; 0 leaves the hidden matrices to AdamW.
    dtype: of the matrix products ("auto": bfloat16 where it is native, see `_device.pick_dtype`).
    on_step: called as on_step(step, loss) after each step; to evaluate now and then.
    progress: label of a progress bar; None shows none.

    Returns one row per step: `step` (from 1), `loss` (before the step), `seconds` since the start. The model ends in
    eval mode. Steps are counted, never timed, and nothing is drawn but what `batches` and the model's own layers draw:
    inside `seeding.seeded` the result is a function of the seed for fixed threads and CPU capability.

    Raises FloatingPointError if the loss stops being finite, ValueError if the batches run out.
    """
    device = next(model.parameters()).device
    dtype = pick_dtype(dtype, device)
    optimizers = _optimizers(model, learning_rate, weight_decay, muon_rate)
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: _rate(step, steps, warmup)) for one in optimizers]
    batches = iter(batches)
    history = []
    model.train()
    started = time.perf_counter()
    for step in tqdm(range(1, steps + 1), desc=progress, disable=progress is None, leave=False):
        batch = next(batches, None)
        if batch is None:
            raise ValueError(f"the batches ran out before step {step} of {steps}")
        with autocast(device, dtype):
            value = loss(model, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        history.append((step, value.item(), time.perf_counter() - started))
        if not math.isfinite(history[-1][1]):
            raise FloatingPointError(
                f"the loss is {history[-1][1]} at step {step}; lower learning_rate={learning_rate}"
            )
        if on_step is not None:
            on_step(step, history[-1][1])
    model.eval()
    return pd.DataFrame(history, columns=["step", "loss", "seconds"])


def _rate(step, steps, warmup):
    """Share of the full learning rate at a step counted from 0."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _optimizers(model, learning_rate, weight_decay, muon_rate):
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    hidden = _hidden_matrices(model, trained) if muon_rate else []
    known = {id(p) for p in hidden}
    rest = [p for p in trained.values() if id(p) not in known]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if rest:
        optimizers.append(torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True))
    if hidden:
        optimizers.append(Muon(hidden, lr=muon_rate, weight_decay=weight_decay))
    return optimizers


def _hidden_matrices(model, trained):
    """Weights that map vectors to vectors: no embeddings, and no head that is tied to them."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    return [
        p
        for name, p in trained.items()
        if p.ndim == 2 and p.numel() and name.endswith("weight") and id(p) not in tables
    ]
