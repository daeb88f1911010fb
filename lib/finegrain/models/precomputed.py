"""The model of an embeddings file: looks vectors up instead of computing them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finegrain import files
from finegrain.data._folder_embeddings import ImageVectors, read_embeddings
from finegrain.errors import InputError
from finegrain.run import reads

CLIP_SCALE = 100.0  # OpenAI's CLIP models all ended at the largest scale that their training allowed


@dataclasses.dataclass(frozen=True, eq=False)
class Precomputed:
    """Vectors from a file in the layout of `finegrain.data._folder_embeddings`.

    name: of the file. width: d. logit_scale: of the file, or 100, as CLIP has. vector_of: text -> (d,) unit vector.
    """

    name: str
    digest: str
    width: int
    logit_scale: float
    vector_of: dict

    def encode_image(self, images, **ignored) -> np.ndarray:
        """Vectors of the images of an embeddings file: (N, d) or `ImageVectors` -> (N, d) float32, of unit length."""
        vectors = images.vectors if isinstance(images, ImageVectors) else images
        if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.shape[1] != self.width:
            raise InputError(f"{self.name} encodes no images: its data set is the file itself, dataset={self.name}")
        return _unit(vectors)

    def encode_text(self, texts: Sequence[str], **ignored) -> np.ndarray:
        """Vectors of texts that the file holds: N strings -> (N, d) float32, of unit length."""
        lacking = [text for text in texts if text not in self.vector_of]
        if lacking:
            raise InputError(f"{self.name} holds no vector of the text {lacking[0]!r} ({len(lacking)} are missing)")
        if not len(texts):
            return np.zeros((0, self.width), np.float32)
        return np.stack([self.vector_of[text] for text in texts])

    def knows(self, texts: Sequence[str]) -> bool:
        """Whether the file has a vector of each of the texts."""
        return all(text in self.vector_of for text in texts)


def load_precomputed(path) -> Precomputed:
    """The model of an embeddings file. Raises InputError as `read_embeddings` does."""
    path = Path(path).expanduser()
    found = read_embeddings(path)
    digest = files.digest("embeddings", path)
    reads.note("backbones", str(path), digest)
    vectors = _unit(found["text"])
    texts = [str(text) for text in found["texts"]]
    scale = float(found.get("logit_scale", CLIP_SCALE))
    return Precomputed(str(path), digest, vectors.shape[1], scale, dict(zip(texts, vectors, strict=True)))


def _unit(vectors):
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
