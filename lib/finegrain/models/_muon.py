"""Muon, the optimizer of hidden matrices, in the precision that the processor multiplies natively."""

import math

import torch

from finegrain.models._device import pick_dtype

# Of the quintic that pulls singular values towards one (Jordan et al., 2024); torch.optim.Muon has the same.
COEFFICIENTS, ITERATIONS, SMALLEST = (3.4445, -4.775, 2.0315), 5, 1e-7


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with the singular values of each step set to about one (Jordan et al., 2024).

    Equal to `torch.optim.Muon` to the byte where bfloat16 is native. Elsewhere that one emulates bfloat16, some
    thirty times slower than float32, and this one takes float32.

    params: matrices. lr: the peak rate of a square one; a tall one gets the root of rows over columns times it.
    """

    def __init__(self, params, lr: float, weight_decay: float = 0.1, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        if any(p.ndim != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon moves matrices only")

    @torch.no_grad()
    def step(self, closure=None):
        """Move every matrix that has a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p.grad)
                buffer = state["momentum_buffer"]
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(buffer, group["momentum"]), pick_dtype("auto", p.device))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * math.sqrt(max(1, p.shape[0] / p.shape[1])))
        return loss


def orthogonal(matrix: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The matrix (m, n) with its singular values between about 0.7 and 1.2, computed in `dtype`, by Newton and Schulz.

    Exact ones are not worth their price: the coefficients lift small values fast and do not converge.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.to(dtype)
    x = x.T if tall else x
    x = x / x.norm().clamp(min=SMALLEST)  # then no singular value is above one
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
