"""Where the time goes: what torch's operations take of what the kit computes, beside the processor's limit.

What takes most of a row's seconds bounds it. The limit is what the largest matrix products reach on one thread.
"""

import image_rows
import library_rows
import pandas as pd
from rows import seconds

LEAST = 0.02  # of the time: operations below are summed up
COLUMNS = ["work", "operation", "share", "GFLOP/s"]


def works():
    """What is profiled: name -> a call."""
    encoder, texts = library_rows.docstrings()
    model, arrays, _ = image_rows.glyphs()
    vectors = library_rows.vectors()
    return {
        "MiniLM over docstrings": lambda: encoder.encode_text(texts),
        "glyph-clip over images": lambda: model.encode_image(arrays),
        "exact search": lambda: library_rows.search(*vectors),
    }


def shares(call) -> pd.DataFrame:
    """An operation a line: its share of the call's seconds, its own alone, and what its products reach, where counted.

    "outside" is what no operation of torch's takes: Python, numpy, tokenizers, the profiler itself.
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as seen:
        whole = seconds(call)
    found = pd.DataFrame(
        [
            {"operation": one.key.removeprefix("aten::"), "seconds": one.self_cpu_time_total / 1e6, "flops": one.flops}
            for one in seen.key_averages()
        ]
    )
    found["share"] = found["seconds"] / whole
    found["GFLOP/s"] = (found["flops"] / found["seconds"] / 1e9).where(found["operation"].isin(["mm", "addmm", "bmm"]))
    large = found[found["share"] >= LEAST].sort_values("share", ascending=False)
    rest = pd.DataFrame(
        {
            "operation": ["other operations", "outside"],
            "share": [found["share"].sum() - large["share"].sum(), 1 - found["share"].sum()],
        }
    )
    return pd.concat([large, rest])[COLUMNS[1:]]


def limits() -> pd.DataFrame:
    """The rates that products of two 4,096-wide matrices reach here."""
    import torch

    lines = []
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(4096, 4096).to(dtype)
        taken = min(seconds(lambda matrix=matrix: matrix @ matrix) for _ in range(3))
        name = str(dtype).removeprefix("torch.")
        lines.append({"operation": f"4,096-wide product, {name}", "GFLOP/s": 2 * 4096**3 / taken / 1e9})
    return pd.DataFrame(lines).assign(work="the limit")


def table() -> pd.DataFrame:
    """All works and the limit, a line for each operation."""
    found = []
    for name, call in works().items():
        call()  # what is done once is not what is asked for
        found.append(shares(call).assign(work=name))
    return pd.concat([*found, limits()], ignore_index=True)[COLUMNS]
