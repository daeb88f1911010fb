"""Cross-encoders: a query and a document in, read together, one score out."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from finegrain.errors import InputError
from finegrain.memo import cached
from finegrain.models._device import autocast, pick_device, pick_dtype
from finegrain.models._memory import halving
from finegrain.models.sources import find_model


@runtime_checkable
class ScoresPairs(Protocol):
    """What a user's own cross-encoder has to be: an object with this method."""

    def score_pairs(self, queries: Sequence[str], documents: Sequence[str]) -> np.ndarray:
        """N queries and N documents -> (N,) float32, larger where the document answers its query better."""


@dataclasses.dataclass(frozen=True, eq=False)
class Reranker:
    """A sentence-transformers `CrossEncoder` as the kit uses it; made by `load_reranker`.

    name, digest: of the model's files. max_length: tokens read of query and document together.
    device, dtype: where and in what the matrix products run. cache: remember scores on disk.
    """

    name: str
    digest: str
    max_length: int
    model: Any
    device: Any
    dtype: Any
    cache: bool

    def score_pairs(
        self,
        queries: Sequence[str],
        documents: Sequence[str],
        *,
        batch_tokens: int | None = None,
        progress: bool = False,
    ) -> np.ndarray:
        """The model's raw score (logit) of each pair: N queries and N documents -> (N,) float32, in their order.

        batch_tokens: tokens in a batch at most (by default 4,096 on a CPU, 65,536 on a GPU).
        """
        pairs = list(zip(queries, documents, strict=True))
        if not pairs:
            return np.zeros(0, np.float32)
        batch_tokens = batch_tokens or (4_096 if self.device.type == "cpu" else 65_536)
        score = cached(pair_scores, ignore=("progress",)) if self.cache else pair_scores
        return score(self, pairs, batch_tokens, progress)

    def memo_content(self) -> list:
        """What its scores depend on, for `finegrain.memo`."""
        return [self.digest, self.max_length, str(self.device), str(self.dtype)]


def pair_scores(
    reranker: Reranker, pairs: list[tuple[str, str]], batch_tokens: int, progress: bool = False
) -> np.ndarray:
    """The work of `Reranker.score_pairs`: N pairs -> (N,) float32, N from 1 on."""
    import torch

    def work(batch_size):
        with autocast(reranker.device, reranker.dtype):
            return reranker.model.predict(
                pairs,
                batch_size=batch_size,
                activation_fn=torch.nn.Identity(),  # a sigmoid would squeeze the margins between good documents
                show_progress_bar=progress,
                convert_to_tensor=True,
            )

    batch_size = max(1, batch_tokens // reranker.max_length)
    scores = halving(work, batch_size, reranker.device, f"{reranker.name}: one pair of {reranker.max_length} tokens")
    return scores.float().cpu().numpy()


def load_reranker(
    name,
    scale: str = "default",
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    cache: bool = True,
):
    """A cross-encoder by name: an object with `score_pairs`.

    name: a folder in the layout of sentence-transformers or transformers, a hub id "owner/name@revision" such as
        "cross-encoder/ms-marco-MiniLM-L6-v2", or the user's own object with `score_pairs`, given back as it is.
    dtype, max_length, cache: as for `load_text_encoder`.

    Raises InputError if there is no such model, if it has no head that was trained to score pairs, or more than one
    score (a classifier of entailment, say).
    """
    if isinstance(name, ScoresPairs):
        return name
    if not isinstance(name, str):
        raise InputError(f"a cross-encoder needs a method score_pairs, and {type(name).__name__} has none")
    found = find_model(name, scale)
    _check_head(found)
    device = pick_device(device)
    model = _cross_encoder(found, device)
    if model.num_labels != 1:
        raise InputError(f"{name} gives {model.num_labels} scores for a pair; take a cross-encoder that gives one")
    limit = model.max_seq_length or 512
    if max_length is not None:
        limit = model.max_seq_length = min(limit, max_length)
    return Reranker(found.name, found.digest, limit, model, device, pick_dtype(dtype, device), cache)


def _check_head(found) -> None:
    """A body alone would load with a head drawn at random, without an error."""
    config = found.folder / "config.json"
    try:
        said = json.loads(config.read_text(encoding="utf-8")).get("architectures") or []
    except (OSError, ValueError):
        said = []
    if not any(architecture.endswith("ForSequenceClassification") for architecture in said):
        what = f"a {said[0]}" if said else "no model of transformers"
        raise InputError(
            f"{found.name} is {what}, without a head that scores pairs; "
            "take a cross-encoder such as cross-encoder/ms-marco-MiniLM-L6-v2"
        )


def _cross_encoder(found, device):
    import torch
    from sentence_transformers import CrossEncoder

    from finegrain.models.language import quiet

    try:
        with quiet():
            return CrossEncoder(str(found.folder), device=str(device), model_kwargs={"dtype": torch.float32})
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{found.name} ({found.folder}) is no cross-encoder that sentence-transformers can load: {reason}"
        ) from None
