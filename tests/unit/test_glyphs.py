"""The world "glyphs": its card's numbers, its pictures, its texts."""

import itertools
import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from finegrain.data import _glyph_drawing, _glyph_groups, _glyph_names, _glyph_texts, glyphs
from finegrain.errors import InputError

DIGEST = "15a128c02adbc1fbddcba47d6b3ffbdfd11de5593e26ef95fb96c6a6db028745"


@pytest.fixture(scope="module")
def world():
    return glyphs.load_glyphs()


@pytest.fixture(scope="module")
def by_character(world):
    return world.classes.set_index("character")


def test_the_content_is_pinned(world):
    assert world.digest == DIGEST


def test_the_card_tells_the_counts(world):
    classes, items = world.classes, world.items
    role = classes["role"].value_counts()
    fold = items["fold"].value_counts()
    said = {
        "images": f"{len(world):,} images",
        "characters": f"{len(classes):,} characters",
        "distinct": f"{len({image.tobytes() for image in world.images}):,} are distinct",
        "linked": f"links {(classes['group_size'] > 1).sum():,} classes",
        "groups": f"{classes['group'].nunique():,} in all",
        "largest": f"the {classes['group_size'].max()} classes",
        "scripts": f"several scripts ({classes['look_alike'].sum():,} classes)",
        "roles": ", ".join(f"{role[name]:,} {name}" for name in ("train", "dev", "test", "confirm")),
        "train": f"{fold['train']:,} images of {classes['trained'].sum():,} classes",
        "beside": f"{((classes['role'] == 'train') & ~classes['trained']).sum()} training classes",
        "folds": ", ".join(f"{fold[name]:,} {name}" for name in ("dev", "test", "confirm")),
    }
    card = " ".join(glyphs.__doc__.split())
    assert {what: text for what, text in said.items() if text not in card} == {}


def test_shapes_and_order(world):
    assert world.images.shape == (len(world), 32, 32)
    assert world.images.dtype == np.uint8
    assert world.labels.dtype == np.int64
    assert (np.diff(world.labels) >= 0).all()
    assert set(world.labels) == set(range(len(world.classes)))
    assert world.classes["codepoint"].is_monotonic_increasing
    assert (world.classes["name"] == world.classes["character"].map(unicodedata.name).str.lower()).all()
    assert (world.images.max(axis=(1, 2)) > 0).all()


def test_no_drawing_occurs_twice_in_a_class(world):
    seen = {(label, image.tobytes()) for label, image in zip(world.labels, world.images, strict=True)}
    assert len(seen) == len(world)


def test_items_are_what_draw_draws(world):
    rows = np.random.default_rng(0).choice(len(world), 200, replace=False)
    for row in rows:
        item = world.items.iloc[row]
        assert np.array_equal(world.images[row], glyphs.draw(item["character"], item["face"]))


@pytest.mark.parametrize("character", ["a", "Q", "é", "щ"])
def test_a_drawing_is_a_plain_rendering_on_the_baseline(character):
    font = ImageFont.truetype(_glyph_drawing._path("DejaVu Serif"), 24, layout_engine=ImageFont.Layout.BASIC)
    image = Image.new("L", (32, 32))
    left = round((32 - font.getlength(character)) / 2)
    ImageDraw.Draw(image).text((left, 24), character, fill=255, font=font, anchor="ls")
    assert np.array_equal(np.asarray(image), glyphs.draw(character, "DejaVu Serif"))


def test_size_and_place_can_be_seen():
    ink = {c: np.flatnonzero(glyphs.draw(c, "DejaVu Sans").any(axis=1)) for c in "oO.˙"}
    assert len(ink["o"]) < len(ink["O"])
    assert ink["˙"].max() < ink["."].min()
    left, right = (glyphs.draw(c, "DejaVu Sans").any(axis=0) for c in "▌▐")
    assert np.flatnonzero(left).max() <= np.flatnonzero(right).min()


def test_ink_keeps_a_margin(world):
    border = np.ones((32, 32), bool)
    border[1:-1, 1:-1] = False
    assert not world.images[:, border].any()


def test_a_drawing_scales_with_its_size():
    large, small = (np.argwhere(glyphs.draw("g", "DejaVu Sans", size=size)) for size in (128, 32))
    assert np.abs(large.min(axis=0) / 4 - small.min(axis=0)).max() <= 1
    assert np.abs(large.max(axis=0) / 4 - small.max(axis=0)).max() <= 1


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match="unknown face"):
        glyphs.draw("a", "Comic Sans")
    with pytest.raises(InputError, match="no glyph"):
        glyphs.draw("字", "DejaVu Sans")
    assert glyphs.draw(" ", "DejaVu Sans") is None


@pytest.mark.parametrize("alike", ["AΑА", "KK", "oοо", "ÅÅ", "µμ"])
def test_look_alikes_share_a_group(by_character, alike):
    assert by_character.loc[list(alike), "group"].nunique() == 1


@pytest.mark.parametrize("different", ["éèêëē", "cç", "OQ0", "ţțt", "iıj", "→←", "⠁⠂⠄", "1l", "ČĆ"])
def test_fine_differences_do_not_join_groups(by_character, different):
    assert by_character.loc[list(different), "group"].is_unique


def test_digits_are_known(by_character):
    digits = by_character.loc[list("0123456789")]
    assert (digits["role"] == "train").all()
    assert digits[["trained", "alias_known", "name_known"]].all(axis=None)


def test_every_face_role_has_many_known_and_unseen_classes(world):
    items = world.items.assign(label=world.labels, role=world.classes["role"].to_numpy()[world.labels])
    counts = items[items["fold"] == "test"].groupby(["role", "face_role"])["label"].nunique()
    assert counts.index.tolist() == [
        ("test", "far"),
        ("test", "near"),
        ("test", "train"),
        ("train", "far"),
        ("train", "near"),
    ]
    assert (counts > 400).all()
    kept = set(items.loc[items["face_role"] == "near", "label"]) & set(items.loc[items["face_role"] == "far", "label"])
    assert len(kept) > 900


def test_faces_match_the_items(world):
    faces = glyphs.faces()
    merged = world.items.merge(faces, left_on="face", right_index=True, suffixes=("", "_expected"))
    for column in faces:
        assert (merged[column] == merged[f"{column}_expected"]).all()


# texts


@pytest.mark.parametrize(
    "character, phrases",
    [
        ("e", ("a latin letter", "lower case", "the base letter e")),
        ("É", ("a latin letter", "upper case", "the base letter e", "an acute accent above")),
        ("ḝ", ("a latin letter", "lower case", "the base letter e", "a cedilla below", "a breve above")),
        ("ø", ("a latin letter", "lower case", "the base letter o", "a stroke through it")),
        ("ɐ", ("a latin letter", "lower case", "the base letter a", "turned upside down")),
        (
            "ᾴ",
            (
                "a greek letter",
                "lower case",
                "the base letter alpha",
                "an acute accent above",
                "an iota subscript below",
            ),
        ),
        ("𝔸", ("a latin letter", "upper case", "the base letter a", "double-struck")),
        ("②", ("a number", "the digit two", "inside a circle")),
        (
            "⠃",
            (
                "a braille pattern",
                "the cell",
                "a dot in the top row on the left",
                "a dot in the second row on the left",
            ),
        ),
        ("┕", ("a box drawing", "a light line upwards", "a heavy line to the right")),
        ("☲", ("stacked lines", "the trigram", "first line unbroken", "second line broken", "third line unbroken")),
        ("🂡", ("a playing card", "the ace", "a suit of spades")),
        ("↗", ("an arrow", "the arrow", "pointing to the upper right")),
        ("≠", ("a mathematical sign", "the equals", "a stroke through it")),
        ("▲", ("a symbol", "the triangle", "filled", "pointing up")),
    ],
)
def test_descriptors_say_what_is_drawn(character, phrases):
    assert _glyph_names.phrases(_glyph_names.describe(character)) == phrases


def test_stacked_lines_are_as_drawn(by_character):
    """The table of hexagrams against the pixels: a broken line has no ink in its middle column."""
    for character in map(chr, range(0x4DC0, 0x4E00)):
        image = glyphs.draw(character, "DejaVu Sans", size=96)
        start = np.flatnonzero(np.diff((image.max(axis=1) > 127).astype(int)) == 1) + 1
        middle = np.flatnonzero(image.any(axis=0)).mean().astype(int)
        drawn = ["broken" if image[row + 1, middle] < 128 else "unbroken" for row in start]
        assert [mark.split()[-1] for mark in by_character.loc[character, "marks"]] == drawn


def test_every_class_has_its_texts(world):
    classes = world.classes
    assert (classes["descriptors"].map(len) >= 2).all()
    assert (classes["path"].map(len) == 4).all()
    assert classes["described"].mean() > 0.99
    assert classes["name"].is_unique
    assert all(template.count("{}") == 1 for template in world.templates)
    assert classes["alias"].str.fullmatch("[a-z]{4,12}").all()
    assert classes["alias_weight"].sum() == pytest.approx(1)


def test_aliases_do_not_depend_on_order():
    characters = [chr(code) for code in range(0x100, 0x180)]
    forwards = [row["alias"] for row in _glyph_texts.texts_of(characters)]
    backwards = [row["alias"] for row in _glyph_texts.texts_of(characters[::-1])]
    assert forwards == backwards[::-1]


# groups


def near_by_hand(one, other):
    """The definition of a near pair in plain loops."""
    one, other = one / 255, other / 255
    padded = np.pad(one - other, 1)
    return max(abs(padded[y : y + 3, x : x + 3].mean()) for y, x in itertools.product(range(32), repeat=2)) <= 0.13


def test_near_pairs_are_those_of_the_definition():
    images = np.stack([glyphs.draw(c, f) for f in ("DejaVu Sans", "DejaVu Serif") for c in "lI|oοöōaă.,"])
    images = np.unique(images, axis=0)
    expected = {pair for pair in itertools.combinations(range(len(images)), 2) if near_by_hand(*images[list(pair)])}
    moved = np.zeros_like(images[:1])
    moved[0, :-1, 1:] = images[0, 1:, :-1]
    found = set(map(tuple, _glyph_groups.near_pairs(np.concatenate([images, moved])).tolist()))
    assert expected
    assert {pair for pair in found if pair[1] < len(images)} >= expected
    assert (0, len(images)) in found


def test_components_do_not_depend_on_the_order_of_links():
    links = np.array([[4, 1], [2, 3], [1, 2]])
    for order in itertools.permutations(range(3)):
        assert _glyph_groups.components(6, links[list(order)]).tolist() == [0, 1, 1, 1, 1, 5]
