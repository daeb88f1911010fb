"""One small training loop for every model that the notebooks train."""

import math
import time
from collections.abc import Callable, Iterable

import pandas as pd
import torch
from tqdm.auto import tqdm

from finegrain.models._device import autocast, pick_dtype


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
    dtype: str = "auto",
    on_step: Callable | None = None,
    progress: str | None = None,
) -> pd.DataFrame:
    """Train `model` in place with AdamW for a fixed number of steps; the rate rises linearly, then falls as a cosine.

    batches: yields at least `steps` batches, of whatever kind `loss` takes.
    loss: (model, batch) -> scalar tensor.
    warmup: share of the steps in which the rate rises.
    weight_decay: for matrices only; biases, norms and other vectors are left alone.
    clip: largest norm of the whole gradient.
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
    optimizer = torch.optim.AdamW(_groups(model, weight_decay), lr=learning_rate, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, warmup))
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


def _groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
