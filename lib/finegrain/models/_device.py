"""Where tensors are computed, and in which precision that is fastest there."""

import functools

from finegrain.errors import InputError


def pick_device(device: str = "auto"):
    """The `torch.device` that a notebook's `device` parameter means: "auto" takes a GPU where there is one.

    Raises InputError where the device is unknown or absent.
    """
    import torch

    if device == "auto":
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"device={device!r} is not usable here; give auto, cpu or a device that torch lists") from None
    return picked


def pick_dtype(dtype: str | None = "auto", device="cpu"):
    """The `torch.dtype` to compute in: "auto" takes bfloat16 where the hardware multiplies it natively.

    Emulated bfloat16 is slower than float32, hence the question to the processor. Weights and results stay
    float32 either way (`torch.autocast`).
    """
    import torch

    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, None: torch.float32}
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(torch.device(device).type) else torch.float32
    if dtype not in names:
        raise InputError(f"dtype={dtype!r}: give auto, float32 or bfloat16")
    return names[dtype]


def autocast(device, dtype):
    """A context in which matrix products run in `dtype`; none at all for float32."""
    import torch

    return torch.autocast(torch.device(device).type, dtype=dtype, enabled=dtype != torch.float32)


@functools.cache
def _multiplies_bfloat16(device_type: str) -> bool:
    import torch

    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return device_type == "cpu" and any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
