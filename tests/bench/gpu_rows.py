"""Rows of a GPU, left out where there is none: ViT-B/32 and MiniLM in their real shapes, and how near its limit."""

import numpy as np
from rows import Row, in_turn

from finegrain.data import load
from finegrain.models import load_text_encoder
from finegrain.models.image_text import ImageTextModel

IMAGES, TEXTS, BATCH, SIDE = 4096, 16_384, 256, 8192  # SIDE: of the matrices whose product tells the limit


def gpu(repeats, device=None):
    """Milliseconds of a sample, in bfloat16, against open_clip's loop and sentence-transformers' `encode`."""
    import torch

    device = device or torch.accelerator.current_accelerator()
    if device is None:
        return
    device = torch.device(device)
    yield from _rows(repeats, device, "ViT-B/32, random weights", "image", "open_clip's loop", *_images(device))
    yield from _rows(repeats, device, "MiniLM", "text", "sentence-transformers, bfloat16", *_texts(device))


def _rows(repeats, device, name, sample, peer, count, kit, other):
    """Lines of one model: against its peer, and what an operation takes beside the limit."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    kit(), other()
    per = [[1000 * taken / count for taken in some] for some in in_turn(repeats, kit, other)]
    yield Row(f"{name} on {device.type}, per {sample}", peer, "ms", *per, 1)
    with FlopCounterMode(display=False) as counter:
        kit()
    matrix = torch.randn(SIDE, SIDE, device=device).bfloat16()

    def limit():
        (matrix @ matrix)[0, 0].item()  # waits for the device

    limit()
    work = counter.get_total_flops(), 2 * SIDE**3
    prices = [
        [1e12 * taken / one for taken in some] for some, one in zip(in_turn(repeats, kit, limit), work, strict=True)
    ]
    yield Row("... per multiplication and addition", f"{SIDE:,}-wide bfloat16", "ps", *prices)


def _images(device):
    """Count, and calls that embed as many images: the kit's and open_clip's loop."""
    import open_clip
    import torch
    from PIL import Image

    plain, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32", device=device)
    plain.eval()
    kit = ImageTextModel(
        name="ViT-B-32",
        digest="",
        width=512,
        logit_scale=100.0,
        model=plain,
        preprocess=preprocess,
        tokenizer=None,
        device=device,
        dtype=torch.bfloat16,
        cache=False,
    )
    arrays = np.random.default_rng(0).integers(0, 256, (IMAGES, 224, 224, 3), dtype=np.uint8)
    pictures = [Image.fromarray(one) for one in arrays]

    @torch.inference_mode()
    def loop():
        found = []
        for start in range(0, IMAGES, BATCH):
            batch = torch.stack([preprocess(picture) for picture in pictures[start : start + BATCH]]).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                found.append(plain.encode_image(batch, normalize=True).float().cpu())
        return torch.cat(found)

    return IMAGES, lambda: kit.encode_image(arrays, batch_size=BATCH), loop


def _texts(device):
    """Count, and calls that embed as many docstrings: the kit's and sentence-transformers'."""
    import torch
    from sentence_transformers import SentenceTransformer

    from finegrain.models.minilm import minilm_folder

    texts = list(load("docstrings", "texts").texts)[:TEXTS]
    encoder = load_text_encoder("minilm", device=str(device), dtype="bfloat16", cache=False)
    peer = SentenceTransformer(str(minilm_folder()), device=str(device), model_kwargs={"dtype": torch.bfloat16})
    told = {"batch_size": BATCH, "normalize_embeddings": True, "show_progress_bar": False}
    return len(texts), lambda: encoder.encode_text(texts), lambda: peer.encode(texts, **told)


ROWS = {"gpu": gpu}
