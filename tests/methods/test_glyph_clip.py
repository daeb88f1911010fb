"""glyph-clip: the towers, the captions and what they are true of, the jittered images, the loss."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch

from finegrain.seeding import generator, seeded

NOTEBOOK = "backbones/glyph_clip"

TEMPLATES = ("a drawing of {}", "the character {}")
DESCRIPTORS = [("latin", "small"), ("latin", "small", "acute"), ("latin", "capital"), ("greek", "small"), ("arrow",)]
ALIASES = ["bako", "ruti", "selo", "mavi", "dune"]
TRAINED = np.array([0, 1, 2, 4])  # class 3 is never trained


def table():
    """Five classes; of the trained ones 0, 1 and 2 have a known alias, and 1 and 4 a known name."""
    return pd.DataFrame(
        {
            "alias": ALIASES,
            "name": [f"NAME {number}" for number in range(5)],
            "descriptors": DESCRIPTORS,
            "name_known": [False, True, False, True, True],
            "alias_weight": [3.0, 2.0, 1.0, 5.0, 0.0],
        }
    )


def drawn_batch(method, alias_share=0.4, count=200):
    drawer = method.Captions(table(), TEMPLATES, alias_share, TRAINED)
    return drawer, *drawer.draw(generator(0, "captions"), count)


def read(caption):
    """What a caption says, read from its text alone: ("alias", class), ("name", class) or ("phrases", set)."""
    for template in TEMPLATES:
        start, end = template.split("{}")
        if caption.startswith(start) and caption.endswith(end):
            caption = caption[len(start) : len(caption) - len(end)]
    first = caption.split(", ")[0]
    if first in ALIASES:
        return "alias", ALIASES.index(first)
    if first.startswith("NAME"):
        return "name", int(first.split()[1])
    return "phrases", set(caption.split(", "))


# --- captions ---------------------------------------------------------------------------------------------------------


def test_a_caption_is_true_of_an_image_whose_class_has_all_that_it_says(method):
    drawer, drawn, captions, about = drawn_batch(method)
    said = [read(caption) for caption in captions]
    expected = [
        [what <= set(DESCRIPTORS[number]) if kind == "phrases" else what == number for number in drawn]
        for kind, what in said
    ]
    np.testing.assert_array_equal(drawer.true_of(drawn, about, True), expected)
    np.testing.assert_array_equal(drawer.true_of(drawn, about, False), drawn[:, None] == drawn[None, :])


def test_by_hand_latin_small_is_true_of_both_and_with_acute_of_one(method):
    drawer = method.Captions(table(), TEMPLATES, 0.5, TRAINED)
    about = np.zeros((3, len(drawer.column)), np.float32)
    about[0, [drawer.column["latin"], drawer.column["small"]]] = 1
    about[1, [drawer.column["latin"], drawer.column["small"], drawer.column["acute"]]] = 1
    found = drawer.true_of(np.array([0, 1, 0]), about, True)  # the third caption is an alias
    assert found.tolist() == [[True, True, True], [False, True, False], [True, False, True]]


def test_a_caption_says_only_what_holds_for_its_class_and_no_name_that_is_not_known(method):
    _, drawn, captions, about = drawn_batch(method)
    kinds, name_known = [], table()["name_known"]
    for number, caption, said in zip(drawn, captions, about, strict=True):
        kind, what = read(caption)
        kinds.append(kind)
        assert what <= set(DESCRIPTORS[number]) if kind == "phrases" else what == number
        assert said.sum() == (len(what) if kind == "phrases" else 0)
        assert kind != "name" or name_known[what]
    assert min(kinds.count(kind) for kind in ("alias", "name", "phrases")) > 10


def test_aliases_come_at_their_share_and_by_their_weight_and_never_from_untrained_classes(method):
    _, drawn, captions, _ = drawn_batch(method, alias_share=0.5, count=1000)
    by_alias = np.array([read(caption)[0] == "alias" for caption in captions])
    assert by_alias.mean() == pytest.approx(0.5, abs=0.06)
    assert np.bincount(drawn[by_alias], minlength=5) / by_alias.sum() == pytest.approx(
        [3 / 6, 2 / 6, 1 / 6, 0, 0], abs=0.07
    )
    assert np.bincount(drawn[~by_alias], minlength=5) / (~by_alias).sum() == pytest.approx(
        [0.25, 0.25, 0.25, 0, 0.25], abs=0.07
    )


def test_at_the_limits_of_their_share_all_captions_show_aliases_or_none_does(method):
    for share, expected in ((0.0, set()), (1.0, {True})):
        kinds = {read(caption)[0] == "alias" for caption in drawn_batch(method, share, 100)[2]}
        assert kinds - {False} == expected
        assert share == 0 or kinds == {True}


def test_the_order_of_a_batch_permutes_what_is_true(method):
    drawer, drawn, _, about = drawn_batch(method, count=60)
    order = generator(0, "order").permutation(60)
    np.testing.assert_array_equal(
        drawer.true_of(drawn[order], about[order], True), drawer.true_of(drawn, about, True)[order][:, order]
    )


# --- loss -------------------------------------------------------------------------------------------------------------


def vectors(count=6, width=5):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(count, width, generator=draw), torch.randn(count, width, generator=draw)


def several(count=6):
    """Which captions (rows) are true of which images: the diagonal and some more, not symmetric."""
    return torch.eye(count, dtype=torch.bool) | (
        torch.rand(count, count, generator=torch.Generator().manual_seed(1)) < 0.3
    )


def test_with_one_right_answer_each_it_is_the_loss_of_open_clip(method):
    from open_clip.loss import ClipLoss

    images, texts = vectors()
    unit = (torch.nn.functional.normalize(some, dim=-1) for some in (images, texts))
    expected = ClipLoss()(*unit, torch.tensor(7.0))
    torch.testing.assert_close(method.contrastive_loss(images, texts, 7.0, torch.eye(6, dtype=torch.bool)), expected)


def test_with_several_it_is_the_mean_of_minus_log_p_over_the_right_ones_in_a_plain_loop(method):
    images, texts = (some.double().numpy() for some in vectors())
    true, scale, total = several().numpy(), 3.0, 0.0
    cosine = lambda t, i: texts[t] @ images[i] / np.sqrt(texts[t] @ texts[t] * (images[i] @ images[i]))  # noqa: E731
    for n in range(6):
        over_images = [np.exp(scale * cosine(n, i)) for i in range(6)]
        right = [i for i in range(6) if true[n, i]]
        total -= sum(np.log(over_images[i] / sum(over_images)) for i in right) / len(right)
        over_texts = [np.exp(scale * cosine(t, n)) for t in range(6)]
        right = [t for t in range(6) if true[t, n]]
        total -= sum(np.log(over_texts[t] / sum(over_texts)) for t in right) / len(right)
    found = method.contrastive_loss(*vectors(), scale, several())
    assert found.item() == pytest.approx(total / 12, rel=1e-5)


def test_the_loss_of_two_right_angles_by_hand(method):
    found = method.contrastive_loss(torch.eye(2), torch.eye(2), 1.0, torch.eye(2, dtype=torch.bool))
    assert found.item() == pytest.approx(np.log(1 + np.exp(-1)))


def test_neither_length_nor_order_nor_the_roles_count(method):
    images, texts = vectors()
    true = several()
    whole = method.contrastive_loss(images, texts, 4.0, true)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(method.contrastive_loss(3 * images, texts / 5, 4.0, true), whole)
    torch.testing.assert_close(method.contrastive_loss(images[order], texts[order], 4.0, true[order][:, order]), whole)
    torch.testing.assert_close(method.contrastive_loss(texts, images, 4.0, true.T), whole)


def test_at_scale_nought_all_answers_are_equal_and_at_a_large_one_only_the_right_one_counts(method):
    images, texts = vectors()
    assert method.contrastive_loss(images, texts, 0.0, several()).item() == pytest.approx(np.log(6))
    assert method.contrastive_loss(images, images, 1e4, torch.eye(6, dtype=torch.bool)).item() == pytest.approx(0)


# --- images -----------------------------------------------------------------------------------------------------------


def test_jittered_images_are_the_affine_maps_of_scipy(method):
    from scipy.ndimage import map_coordinates

    images, size = generator(0, "ink").integers(0, 256, (3, 6, 6), dtype=np.uint8), 8
    found = method.jittered(images, size, generator(0, "jitter")).numpy()
    same = generator(0, "jitter")
    linear, shift = np.eye(2) + same.normal(0, 0.04, (3, 2, 2)), same.uniform(-0.08, 0.08, (3, 2))
    centres = (2 * np.arange(size) + 1) / size - 1  # of the new pixels, where the image is the square from -1 to 1
    across, down = np.meshgrid(centres, centres)
    for n in range(3):
        x = linear[n, 0, 0] * across + linear[n, 0, 1] * down + shift[n, 0]
        y = linear[n, 1, 0] * across + linear[n, 1, 1] * down + shift[n, 1]
        at = [((y + 1) * 6 - 1) / 2, ((x + 1) * 6 - 1) / 2]
        expected = map_coordinates(images[n] / 255, at, order=1, mode="grid-constant")
        for channel in range(3):
            np.testing.assert_allclose(found[n, channel], expected, atol=1e-5)


def test_without_noise_an_image_stays_as_it_is(method):
    class Still:
        normal = uniform = staticmethod(lambda low, high, shape: np.zeros(shape))

    images = generator(0, "ink").integers(0, 256, (2, 6, 6), dtype=np.uint8)
    found = method.jittered(images, 6, Still()).numpy()
    np.testing.assert_allclose(found, np.repeat(images[:, None] / 255, 3, axis=1), atol=1e-5)


# --- towers -----------------------------------------------------------------------------------------------------------

WORDS = ["bako small latin", "ruti small greek", "selo arrow"] * 4


def test_word_pieces_are_merged_where_they_are_frequent_and_stay_within_words(method):
    by_hand = method.byte_pairs(["ab ab ab ac"], size=4 + 3 + 1)  # four special tokens, three letters, one merge
    assert by_hand.tokenize("ab ac") == ["ab", "a", "c"]
    tokenizer = method.byte_pairs(WORDS)
    assert tokenizer.tokenize("small bako selo") == ["small", "bako", "selo"]
    assert tokenizer.tokenize("small ☃")[-1] == "[UNK]"


def test_the_configuration_makes_two_towers_that_know_the_tokenizers_special_tokens(method):
    from open_clip import CLIP

    tokenizer = method.byte_pairs(WORDS)
    config = method.configuration(len(tokenizer), context=12, image_size=32)
    text = config["model_cfg"]["text_cfg"]
    assert (text["eos_id"], text["pad_id"]) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert config["preprocess_cfg"].keys() == {"mean", "std", "interpolation", "resize_mode"}
    with seeded(0):
        model = CLIP(**deepcopy(config["model_cfg"])).eval()
    tokens = tokenizer(["bako", "small latin"], padding="max_length", max_length=12, return_tensors="pt")["input_ids"]
    assert (tokens[:, 0] == tokenizer.bos_token_id).all()
    assert [row[row != 0][-1].item() for row in tokens] == [tokenizer.eos_token_id] * 2
    with torch.inference_mode():
        found, images = model.encode_text(tokens), model.encode_image(torch.zeros(2, 3, 32, 32))
        padding = torch.where(tokens == tokenizer.pad_token_id, 5, tokens)
        torch.testing.assert_close(model.encode_text(padding), found)  # what follows the end is not read
    assert found.shape == images.shape == (2, 128)
    assert not torch.allclose(found[0], found[1], atol=1e-3)


MUTATIONS = [
    # towers
    ('"eos_id": 2', '"eos_id": 1'),
    ('"pad_id": 0', '"pad_id": 3'),
    ('special = ["[PAD]", "[BOS]", "[EOS]", "[UNK]"]', 'special = ["[UNK]", "[BOS]", "[EOS]", "[PAD]"]'),
    ('"[BOS] $A [EOS]"', '"[BOS] $A"'),
    ("pre_tokenizers.Whitespace()", "pre_tokenizers.Metaspace()"),
    # captions
    (">= about.sum(1, keepdims=True)", "> about.sum(1, keepdims=True) - 1.5"),
    (">= about.sum(1, keepdims=True)", ">= about.sum(0).max()"),
    ("self.has[drawn].T", "self.has[drawn[::-1]].T"),
    ("if not tolerant", "if tolerant"),
    ("np.where(about.any(1, keepdims=True), all_hold, same)", "all_hold"),
    ("np.where(about.any(1, keepdims=True), all_hold, same)", "all_hold | same"),
    ("rng.random(count) < self.alias_share", "rng.random(count) > self.alias_share"),
    (', classes["alias_weight"], 0)', ", 1, 0)"),
    ('np.where(np.isin(np.arange(len(classes)), trained), classes["alias_weight"], 0)', 'classes["alias_weight"]'),
    ("rng.choice(self.trained, count)", "rng.integers(0, len(self.classes), count)"),
    ('row["name_known"] and', "True and"),
    ("phrases[: rng.integers(1, 4)]]), []", "phrases[: rng.integers(1, 4)]]), phrases"),
    ('", ".join(phrases), 0.15), phrases', '", ".join(phrases), 0.15), list(row["descriptors"])'),
    # loss
    ("normalize(texts.float(), dim=-1)", "texts.float()"),
    ("normalize(images.float(), dim=-1)", "normalize(images.float(), dim=0)"),
    ("right / right.sum(1, keepdim=True)", "right"),
    ("right / right.sum(1, keepdim=True)", "right / right.sum(0, keepdim=True)"),
    (
        "cross_entropy(logits.T, (right / right.sum(0, keepdim=True)).T)",
        "cross_entropy(logits.T, right / right.sum(0))",
    ),
    ("(by_caption + by_image) / 2", "by_caption"),
    ("(by_caption + by_image) / 2", "by_caption + by_image"),
    # images
    (".div(255)", ""),
    ("np.eye(2) + ", ""),
    ("[linear, shift], 2", "[linear.transpose(0, 2, 1), shift], 2"),
    ("grid_sample(pixels, grid, align_corners=False)", "grid_sample(pixels, grid, align_corners=True)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
