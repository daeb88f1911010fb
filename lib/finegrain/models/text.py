"""Text encoders: texts in, unit vectors out, whatever model is underneath."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from finegrain.errors import InputError
from finegrain.memo import cached
from finegrain.models._device import pick_device, pick_dtype
from finegrain.models._memory import halving
from finegrain.models.sources import find_model


@runtime_checkable
class EncodesText(Protocol):
    """What a user's own encoder has to be: an object with this method."""

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """N strings -> (N, d) float32; rows of unit length where cosines are wanted."""


@dataclasses.dataclass(frozen=True, eq=False)
class TextEncoder:
    """A sentence-transformers model as the kit uses it; made by `load_text_encoder`.

    name, digest: of the model's files. width: d. max_length: tokens read of each text, special ones included.
    role: None, "query" or "document": which of the model's own prompts stands before each text, where it has any;
        `dataclasses.replace(encoder, role="query")` is the same model in another role.
    model: the `SentenceTransformer`. device, dtype: where and in what the matrix products run.
    """

    name: str
    digest: str
    width: int
    max_length: int
    role: str | None
    model: Any
    device: Any
    dtype: Any
    cache: bool

    def encode_text(self, texts: Sequence[str], *, batch_tokens: int | None = None, progress: bool = False):
        """Vectors of texts: N strings -> (N, d) float32 array, rows of unit length, in the order given.

        batch_tokens: tokens in a batch at most (by default 4,096 on a CPU, 65,536 on a GPU).

        In float32 a vector depends on the texts beside it by rounding alone (below 1e-6); in bfloat16 by up to
        about 1e-3, so what is cached is the answer to the whole ordered request.
        """
        texts = list(texts)
        if not texts:
            return np.zeros((0, self.width), np.float32)
        batch_tokens = batch_tokens or (4_096 if self.device.type == "cpu" else 65_536)
        encode = cached(text_vectors, ignore=("progress",)) if self.cache else text_vectors
        return encode(self, texts, batch_tokens, progress)

    def memo_content(self) -> list:
        """What its vectors depend on, for `finegrain.memo`."""
        return [self.digest, self.max_length, self.role, str(self.device), str(self.dtype)]


def text_vectors(encoder: TextEncoder, texts: list[str], batch_tokens: int, progress: bool = False) -> np.ndarray:
    """The work of `TextEncoder.encode_text`: N strings -> (N, d) float32, N from 1 on."""
    model = encoder.model
    encode = {None: model.encode, "query": model.encode_query, "document": model.encode_document}[encoder.role]

    def work(batch_size):
        return encode(texts, batch_size=batch_size, show_progress_bar=progress)

    batch_size = max(1, batch_tokens // encoder.max_length)
    vectors = halving(work, batch_size, encoder.device, f"{encoder.name}: one text of {encoder.max_length} tokens")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)


def load_text_encoder(
    name,
    scale: str = "default",
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    role: str | None = None,
    cache: bool = True,
):
    """A text encoder by name: an object with `encode_text`, `name`, `digest` and `width`.

    name: "minilm", a backbone ("doc-bert", "doc-gpt-scratch", ...: the mean of the last layer's vectors), a folder in
        the layout of sentence-transformers or transformers, a hub id "owner/name@revision", or the user's own object
        with `encode_text`, which is given back as it is.
    scale: of the backbones that notebooks train; smoke has its own.
    dtype: of the matrix products; "auto" is bfloat16 where the hardware has it (on a CPU three times as fast, cosine to
        float32 above 0.9999 for MiniLM), else float32. Vectors are float32 always.
    max_length: tokens read of each text; None is the model's own limit.
    role: see `TextEncoder`.
    cache: remember vectors on disk (`finegrain.memo`) for the same texts in the same order.

    Raises InputError if there is no such model or it is damaged.
    """
    if isinstance(name, EncodesText):
        return name
    if not isinstance(name, str):
        raise InputError(f"an encoder needs a method encode_text, and {type(name).__name__} has none")
    if role not in (None, "query", "document"):
        raise InputError(f"role={role!r}: give None, query or document")
    found = find_model(name, scale)
    device = pick_device(device)
    dtype = pick_dtype(dtype, device)
    model = _sentence_transformer(found, device, dtype)
    limit = model.max_seq_length or 512
    if max_length is not None:
        limit = model.max_seq_length = min(limit, max_length)
    return TextEncoder(
        name=found.name,
        digest=found.digest,
        width=model.get_embedding_dimension(),
        max_length=limit,
        role=role,
        model=model,
        device=device,
        dtype=dtype,
        cache=cache,
    )


def _sentence_transformer(found, device, dtype):
    """The model; in half precision its transformer alone, whose vectors are pooled in float32.

    Autocast would keep the weights in float32, and spend a fifth of its time on conversions between its layers.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    from finegrain.models.language import quiet

    class Float32(torch.nn.Module):
        def forward(self, features):
            half = [name for name, value in features.items() if getattr(value, "dtype", None) == dtype]
            return features | {name: features[name].float() for name in half}

    try:
        with quiet():
            # A checkpoint saved in half precision would otherwise be computed in half precision.
            model = SentenceTransformer(str(found.folder), device=str(device), model_kwargs={"dtype": torch.float32})
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{found.name} ({found.folder}) is no model that sentence-transformers can load: {reason}"
        ) from None
    if dtype != torch.float32:
        model[0].to(dtype)
        model.insert(1, Float32())
    return model
