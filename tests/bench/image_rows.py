"""Rows of images: embedding, a zero-shot classifier and a training step, against open_clip's own code."""

import copy
import dataclasses
import itertools

import numpy as np
import torch
from rows import Row, in_turn
from torch.nn.functional import normalize

from finegrain.data import load
from finegrain.models import class_embeddings, fit, load_image_text

IMAGES, CLASSES, TEMPLATES = 2048, 1000, 80
BATCH, STEPS = 128, 20  # of training


def as_open_clip_makes_it(model):
    """A copy of the kit's model with the memory layout that open_clip's loader leaves, for what is open_clip's own."""
    return copy.deepcopy(model).to(memory_format=torch.contiguous_format)


def glyphs():
    """glyph-clip, some images, and the data that they are of."""
    data = load("glyphs", "images")
    model = dataclasses.replace(load_image_text("glyph-clip", device="cpu"), cache=False)
    return model, data.images[np.random.default_rng(0).choice(len(data), IMAGES, replace=False)], data


def images(repeats):
    """Images through glyph-clip, and a classifier of a thousand classes by eighty templates."""
    import open_clip
    from PIL import Image

    model, arrays, data = glyphs()
    plain = as_open_clip_makes_it(model.model)
    pictures = [Image.fromarray(one) for one in arrays]

    @torch.inference_mode()
    def loop():
        found = []
        for start in range(0, IMAGES, 256):
            batch = torch.stack([model.preprocess(picture) for picture in pictures[start : start + 256]])
            found.append(plain.encode_image(batch, normalize=True))
        return torch.cat(found).numpy()

    apart = float(np.abs(model.encode_image(arrays) - loop()).max()) * model.logit_scale
    taken = in_turn(repeats, lambda: model.encode_image(arrays), loop)
    yield Row(f"{IMAGES:,} images (logits apart by {apart:.0e} at most)", "open_clip's loop", "s", *taken, 2)

    names = data.classes["alias"].tolist()[:CLASSES]
    forms = [f"{form} {{}}" for form in itertools.islice(data.classes["alias"].iloc[CLASSES:], TEMPLATES)]
    prompts = [[form.format(name) for form in forms] for name in names]

    @torch.inference_mode()
    def theirs():
        call = [lambda name, form=form: form.format(name) for form in forms]
        build = open_clip.build_zero_shot_classifier
        return build(plain, model.tokenizer, names, call, num_classes_per_batch=10, device="cpu").numpy().T

    apart = float(np.abs(class_embeddings(model, prompts) - theirs()).max()) * model.logit_scale
    taken = in_turn(repeats, lambda: class_embeddings(model, prompts), theirs)
    what = f"classifier of {CLASSES:,} classes by {TEMPLATES} templates (logits apart by {apart:.0e} at most)"
    yield Row(what, "build_zero_shot_classifier", "s", *taken, 2)


def step(repeats):
    """A training step of glyph-clip, against that of open_clip's training script, in float32 as it is by itself."""
    import open_clip

    data = load("glyphs", "images")
    kit = load_image_text("glyph-clip", device="cpu")
    rng = np.random.default_rng(0)
    rows = [rng.choice(len(data), BATCH, replace=False) for _ in range(STEPS)]
    batches = [
        (kit._pixels(data.images[some]), kit.tokenizer(data.classes["name"].iloc[data.labels[some]].tolist()))
        for some in rows
    ]

    def loss(model, batch):
        a, b = (normalize(encode(part), dim=-1) for encode, part in zip((model.encode_image, model.encode_text), batch))
        logits = model.logit_scale.exp() * a @ b.T
        right = torch.arange(len(logits))
        return (
            torch.nn.functional.cross_entropy(logits, right) + torch.nn.functional.cross_entropy(logits.T, right)
        ) / 2

    def ours():
        fit(copy.deepcopy(kit.model), batches, loss, steps=STEPS, learning_rate=1e-3)

    plain_batches = [(pictures.contiguous(), texts) for pictures, texts in batches]

    def theirs():
        model = as_open_clip_makes_it(kit.model).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-6)
        contrast = open_clip.ClipLoss()
        for pictures, texts in plain_batches:
            optimizer.zero_grad()
            contrast(*model(pictures, texts)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    kit_s, other_s = in_turn(repeats, ours, theirs)
    per = [[taken / STEPS for taken in some] for some in (kit_s, other_s)]
    yield Row(f"a training step of glyph-clip, {BATCH} pairs", "open_clip's training step", "s", *per, 1.5)


ROWS = {"images": images, "step": step}
