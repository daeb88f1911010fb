"""Image-text models: images and texts in, unit vectors of one space out.

All models come through open_clip: a backbone folder of ours, a folder of the user's, the hub, or an architecture with
weights that open_clip knows. A folder that `local-dir:` reads holds three things, and loading it needs no code of ours:

- `open_clip_config.json`: {"model_cfg": {embed_dim, vision_cfg, text_cfg}, "preprocess_cfg": {mean, std, interpolation,
  resize_mode}}. `vision_cfg.layers` as a number is a vision transformer (with patch_size, width, head_width); as a list
  of four it is a ModifiedResNet; `timm_model_name` takes a tower of timm's. The image size stands in vision_cfg. All
  towers take three channels: grey images are repeated.
- `open_clip_model.safetensors`: the state of `open_clip.CLIP(**model_cfg)`.
- `tokenizer.json`, `tokenizer_config.json`: as `PreTrainedTokenizerFast(...).save_pretrained(folder)` writes them. They
  are read if `text_cfg.hf_tokenizer_name` is any non-empty string; `text_cfg.context_length` is the padded length, and
  `pool_type: "eos"` with `eos_id` says where a text's vector is read. The text tower stays causal: without the mask,
  padding would be attended to and a text's vector would depend on the context length.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from finegrain import files, hub
from finegrain.errors import InputError
from finegrain.memo import cached
from finegrain.models import backbones
from finegrain.models._device import autocast, pick_device, pick_dtype
from finegrain.models._registry import MADE_BY
from finegrain.models.sources import find_model, snapshot
from finegrain.run import reads

_MANY = 2  # batches, from which the copy of a tower that is faster pays for its making


@runtime_checkable
class EncodesImagesAndText(Protocol):
    """What a user's own encoder has to be: an object with these two methods."""

    def encode_image(self, images) -> np.ndarray:
        """N images -> (N, d) float32, rows of unit length."""

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """N strings -> (N, d) float32, rows of unit length, in the same space."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageTextModel:
    """An open_clip model as the kit uses it; made by `load_image_text`.

    name, digest: of the model's files. width: d. logit_scale: factor from cosines to logits (the inverse temperature).
    cache: remember vectors on disk (`finegrain.memo`), those of arrays of images and of texts.
    model, preprocess, tokenizer: open_clip's. device, dtype: where and in what the matrix products run.
    """

    name: str
    digest: str
    width: int
    logit_scale: float
    model: Any
    preprocess: Any
    tokenizer: Any
    device: Any
    dtype: Any
    cache: bool = True

    def encode_image(self, images, *, batch_size: int = 64) -> np.ndarray:
        """Vectors of images -> (N, d) float32 array, rows of unit length.

        images: an (N, H, W) or (N, H, W, 3) uint8 array, or a sequence of PIL images. Each is resized and
            normalised as the model's folder says.
        """
        if isinstance(images, np.ndarray) and self.cache:  # what else images may be need not have a content at hand
            return cached(ImageTextModel._encode_images)(self, images, batch_size)
        return self._encode_images(images, batch_size)

    def encode_text(self, texts: Sequence[str], *, batch_size: int = 256) -> np.ndarray:
        """Vectors of texts: N strings -> (N, d) float32 array, rows of unit length."""
        encode = cached(ImageTextModel._encode_texts) if self.cache else ImageTextModel._encode_texts
        return encode(self, list(texts), batch_size)

    def memo_content(self) -> list:
        """What its vectors depend on, for `finegrain.memo`."""
        return [self.name, self.digest, str(self.device), str(self.dtype)]

    def _encode_images(self, images, batch_size):
        from open_clip.modified_resnet import ModifiedResNet
        from torch.fx.experimental.optimization import fuse

        encode = self.model.encode_image
        if isinstance(self.model.visual, ModifiedResNet) and len(images) > _MANY * batch_size:
            # A copy whose convolutions do what its batch norms do, which only scale and shift by now.
            encode = fuse(self.model.visual)
        return self._encode(images, self._pixels, encode, batch_size)

    def _encode_texts(self, texts, batch_size):
        return self._encode(texts, self.tokenizer, self._read, batch_size)

    def _encode(self, items, prepare, encode, batch_size):
        import torch

        vectors = [np.zeros((0, self.width), np.float32)]
        with torch.inference_mode(), autocast(self.device, self.dtype):
            for start in range(0, len(items), batch_size):
                found = encode(prepare(items[start : start + batch_size]).to(self.device)).float()
                vectors.append(torch.nn.functional.normalize(found, dim=-1).cpu().numpy())
        return np.concatenate(vectors)

    def _read(self, tokens):
        """The text tower over tokens (n, L), without the last columns if all texts end before them.

        A causal tower that reads a text's vector at its end gives the same vector without what follows.
        """
        import torch

        mask = getattr(self.model, "attn_mask", None)  # other towers than open_clip's own have none here
        if mask is None or self.model.text_pool_type not in ("argmax", "eos"):
            return self.model.encode_text(tokens)
        end = tokens if self.model.text_pool_type == "argmax" else tokens.eq(self.model.text_eos_id).int()
        used = 1 + int(end.argmax(dim=1).max())
        short = {"positional_embedding": self.model.positional_embedding[:used], "attn_mask": mask[:used, :used]}
        found = torch.func.functional_call(self.model, short, (None, tokens[:, :used]))
        return found["text_features"] if isinstance(found, dict) else found[1]

    def _pixels(self, images):
        """The tensor (n, 3, h, w) that the image tower reads: what `preprocess` gives for each image."""
        import torch

        size = self.model.visual.image_size
        size = (size, size) if isinstance(size, int) else tuple(size)
        if not isinstance(images, np.ndarray) or images.shape[1:3] != size:
            from PIL import Image

            images = [Image.fromarray(i) if isinstance(i, np.ndarray) else i for i in images]
            for shape in self.preprocess.transforms[:-2]:  # its last two, as open_clip makes it, are those below
                images = [shape(image) for image in images]
            images = np.stack(images)
        config = self.model.visual.preprocess_cfg
        pixels = torch.from_numpy(np.ascontiguousarray(images)).float().div(255)
        pixels = pixels[:, None].expand(-1, 3, -1, -1) if pixels.ndim == 3 else pixels.movedim(-1, 1)
        mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def load_image_text(name, scale: str = "default", device: str = "auto", dtype: str = "float32"):
    """An image-text model by name: an object with `encode_image`, `encode_text`, `logit_scale`, `name`, `digest`.

    name: "glyph-clip"; "local-dir:FOLDER" in the layout above, or that folder's bare path; "hf-hub:owner/name", with or
        without "@revision"; an architecture and its weights as open_clip lists them, "ViT-B-32/openai"; an .npz file of
        embeddings, which encodes what it holds (`finegrain.models.precomputed`); or the user's own object with
        `encode_image` and `encode_text`, which is given back as it is.
    scale: of glyph-clip; smoke has its own.
    dtype: of the matrix products; float32 is the default because small towers gain nothing from bfloat16.

    Raises InputError if there is no such model, or it has no weights, or it is damaged.
    """
    if isinstance(name, EncodesImagesAndText):
        return name
    if not isinstance(name, str):
        raise InputError(f"an encoder needs encode_image and encode_text, and {type(name).__name__} lacks one of them")
    if name.endswith(".npz"):
        from finegrain.models.precomputed import load_precomputed

        return load_precomputed(name)
    import torch

    device = pick_device(device)
    model, preprocess, tokenizer, digest = _open_clip(name, scale, device)
    with torch.inference_mode():
        width = model.encode_text(tokenizer(["a"]).to(device)).shape[-1]
    return ImageTextModel(
        name=name,
        digest=digest,
        width=width,
        logit_scale=model.logit_scale.exp().item(),
        model=model,
        preprocess=preprocess,
        tokenizer=tokenizer,
        device=device,
        dtype=pick_dtype(dtype, device),
    )


def class_embeddings(model, prompts: Sequence[Sequence[str]], renormalise: bool = True) -> np.ndarray:
    """One vector for each class: the mean of its prompts' unit vectors; (C, d) float32.

    model: an object with `encode_text`. prompts: C lists of prompts, of any lengths from 1 on; prompts that stand in
        several classes are encoded once.
    renormalise: scale the means to unit length, as open_clip's zero-shot classifier does. Without, a class whose
        prompts disagree keeps its shorter vector.

    >>> class Letters:
    ...     def encode_text(self, texts):
    ...         return np.array([[1.0, 0.0] if text == "a" else [0.0, 1.0] for text in texts], np.float32)
    >>> class_embeddings(Letters(), [["a"], ["a", "b"]], renormalise=False).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    if any(len(some) == 0 for some in prompts) or any(isinstance(some, str) for some in prompts):
        raise ValueError("each class needs a list of at least one prompt")
    distinct = sorted({prompt for some in prompts for prompt in some})
    row = {prompt: number for number, prompt in enumerate(distinct)}
    vectors = model.encode_text(distinct)
    means = np.stack([vectors[[row[prompt] for prompt in some]].mean(axis=0) for some in prompts])
    if renormalise:
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means.astype(np.float32)


def _open_clip(name, scale, device):
    """Model, preprocessing, tokenizer and digest."""
    import open_clip
    import torch

    source, weights, digest = name, None, None
    if name in MADE_BY:
        folder, digest = backbones.open_backbone(name, scale)
        source = f"local-dir:{folder}"
    elif name.startswith("local-dir:") or Path(name).expanduser().is_dir():
        folder = Path(name.removeprefix("local-dir:")).expanduser().resolve()
        digest = find_model(str(folder)).digest if folder.is_dir() else None
        source = _local(folder, str(folder))
    elif name.startswith("hf-hub:"):
        asked = hub.parsed(name.removeprefix("hf-hub:"))
        if asked is None:
            raise InputError(f"{name} is no model of the hub: write hf-hub:owner/name or hf-hub:owner/name@revision")
        folder = snapshot(*asked)
        digest, source = folder.name, _local(folder, name)  # a snapshot's folder is named by its commit
        reads.note("backbones", name, digest)
    else:
        source, _, weights = name.rpartition("/")
        if (source, weights) not in open_clip.list_pretrained():
            raise InputError(
                f"no image-text model is called {name!r}; give glyph-clip, local-dir:FOLDER, hf-hub:owner/name, or an "
                "architecture and its weights such as ViT-B-32/openai (`finegrain models` lists all)"
            )
    remote = hub.told("model", name, None) if weights else contextlib.nullcontext()
    offline = hub.cache_only() if weights and not hub.reachable() else contextlib.nullcontext()
    try:
        with remote, offline:
            model, _, preprocess = open_clip.create_model_and_transforms(
                source, pretrained=weights, device=device, require_pretrained=True
            )
            tokenizer = open_clip.get_tokenizer(source)
    except InputError:
        raise
    except Exception as error:  # open_clip raises a dozen kinds; each means that the model cannot be had
        if weights and not hub.reachable():
            raise hub.absent(f"model {name}") from None
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"the image-text model {name} cannot be loaded: {reason}") from error
    if digest is None:  # what came over the network is known by its tensors
        digest = files.digest(
            *(part for key, t in sorted(model.state_dict().items()) for part in (key, t.cpu().float().numpy()))
        )
        reads.note("backbones", name, digest)
    # Convolutions are faster over an image whose channels lie side by side; a transformer does not care.
    return model.eval().to(memory_format=torch.channels_last), preprocess, tokenizer, digest


def _local(folder: Path, name: str) -> str:
    """What open_clip calls a model in a folder; it must have the layout of this module's docstring."""
    if not (folder / "open_clip_config.json").is_file():
        raise InputError(
            f"{name} is no open_clip folder (it has no open_clip_config.json); see `finegrain.models.image_text`"
        )
    return f"local-dir:{folder}"
