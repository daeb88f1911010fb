"""World "glyphs": Unicode characters as images, with names, opaque aliases and descriptors.

What: 40,682 images, 32x32 pixels of gray (uint8, ink 255 on 0), of 7,143 characters in 16 faces: the DejaVu Sans, Serif
and Sans Mono and the STIXGeneral fonts in matplotlib's data folder, drawn by Pillow with an em of 24 pixels on a fixed
baseline (`draw`). Every character with a Unicode name is in, but for marks, controls, private use and blanks, and the
object replacement character, which is too large. A drawing that repeats another one of its class is left out, and so is
one outside the training fold that stands in it; 52,572 drawings become 40,682, of which 37,437 are distinct.

Classes, one row a character in the order of code points:
    character, codepoint, name    the name is Unicode's, in lower case: a full description in itself
    alias                         an opaque word of two or three syllables, from the name's hash: it says nothing
    descriptors                   noun phrases: script or kind, case, base, forms, marks and where they sit
    described, words_known        whether no other group has these phrases (99 %); whether trained classes use each word
    script, case, base, forms, marks, path    the same as columns; path = script > case > base > forms and marks
    category                      Unicode's general category
    group, group_size, look_alike homoglyph group, its classes, and whether it spans several scripts (1,099 classes)
    role, trained                 train, dev, test or confirm, by group; whether an image stands in the training fold
    alias_known, name_known       whether pre-training may show the alias, the name (80 % of the trained; all digits)
    alias_weight                  how often it should show the alias: Zipf's law over ranks by hash; adds up to 1
Items: fold, group, character, face, family, weight (regular, bold), slant (upright, slanted), face_role.

Homoglyph groups: two characters are linked if in some faces their drawings differ by at most 13 % of full ink in every
3x3 window, in place or moved by one pixel; groups are the connected components. That links 1,778 classes into 430
groups, 5,795 in all; the largest holds the 37 classes that look like I or l. Besides look-alikes of other scripts and
styles these are pairs that 32 pixels hardly show: smooth and rough breathings, breve and caron on capitals. Exact
equality links 1,500 classes; at 18 % the digit 1 joins I and l. E with acute and e with grave differ by 33 %.
A mean absolute difference cannot tell these apart: an accent turned round changes it less than another hinting does.

Roles are a function of the group's name: train 70 %, dev 8 %, test 15 %, confirm 7 %; groups that no training face
shows (STIX's own characters, mostly) are never train, groups with an ASCII digit always (the digits data set shows
known classes in unknown hands). Classes by role: 4,556 train, 733 dev, 1,256 test, 598 confirm.
Faces: nine train; three near (an untrained face of a trained family: Sans Oblique, Serif Bold Italic, Sans Mono Bold
Oblique); four far (STIXGeneral, a family that is never trained).
Folds: train holds the training classes on training faces (19,267 images of 4,440 classes). Training classes on
near and far faces are dev, test or confirm by a second hash of their group; 116 training classes stand there
only, beside a look-alike in training. Images of other classes have their role as fold, on any face. In all: 6,447 dev,
10,189 test, 4,779 confirm. 13 % of the images are pixel for pixel another class's, always within a group: no model can
do better than chance inside such a group, so count groups, or use classes with group_size 1, where that matters.

Licences: DejaVu (Bitstream Vera and Arev licences, public domain changes), STIX (SIL Open Font License 1.1).

Known biases: European scripts and mathematics prevail, Chinese, Indic and most other scripts are missing; DejaVu draws
many symbols alike in all its faces, so symbols have fewer images than letters; two families share a designer (DejaVu
Sans and Sans Mono); some fonts have errors (STIX's italic I with breve lacks its breve, which links it to I); Arabic is
drawn unjoined; names of minor scripts' letters are sounds, not shapes: no one can know them from descriptors.
"""

import importlib.metadata
import json
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from finegrain import files
from finegrain.data import _folds, _glyph_drawing, _glyph_groups, _glyph_names, _glyph_texts, _glyph_words
from finegrain.data._glyph_drawing import FACES, characters_of, draw
from finegrain.data._glyph_texts import TEMPLATES
from finegrain.data._records import ImageText

__all__ = ["FACES", "TEMPLATES", "characters_of", "draw", "faces", "load_glyphs"]

ROLES = {"train": 0.70, "dev": 0.08, "test": 0.15, "confirm": 0.07}  # shares of groups that a training face shows
ELSEWHERE = {"dev": 0.28, "test": 0.48, "confirm": 0.24}  # of groups on new faces: all others, and training groups
DIGITS = "0123456789"  # always train and known: the data set "digits" shows known classes in unknown hands
KNOWN = 0.8  # share of trained classes whose alias, and whose name, pre-training may show
RANK_SHIFT = 10  # alias_weight is in proportion to 1 / (rank + RANK_SHIFT): Zipf's law with a flattened head


def load_glyphs() -> ImageText:
    """The world, read from its cache below build/worlds (0.2 s) or made (about 12 s).

    images: (N, 32, 32) uint8; labels: (N,) int64; the columns of `classes` and `items` stand in the data card above.
    """
    path = files.build("worlds", f"glyphs-{_key()}.npz")
    try:
        with np.load(path) as cache:
            images, labels, face = cache["images"], cache["labels"], cache["face"]
            columns = json.loads(cache["classes"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        images, labels, face, columns = _make()
        text = np.frombuffer(json.dumps(columns).encode(), np.uint8)
        with files.whole(path) as beside, open(beside, "wb") as file:
            np.savez(file, images=images, labels=labels, face=face, classes=text)
    return _record(images, labels, face, columns)


def faces() -> pd.DataFrame:
    """One row a face, indexed by its name, in the order of items within a class: family, weight, slant, face_role."""
    rows = {name: fields[1:] for name, fields in FACES.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["family", "weight", "slant", "face_role"])


def _key():
    modules = (_folds, _glyph_drawing, _glyph_groups, _glyph_names, _glyph_texts, _glyph_words)
    sources = [Path(str(module.__file__)) for module in modules] + [Path(__file__)]
    versions = [importlib.metadata.version(package) for package in ("matplotlib", "pillow")]
    return files.digest(*sources, *versions, unicodedata.unidata_version)[:16]


def _make():
    """Draw everything, group the classes, give roles and folds, leave out repeats, write the texts."""
    drawn = [
        (character, face, image)
        for face, name in enumerate(FACES)
        for character in sorted(filter(_is_named_and_visible, characters_of(name)))
        if (image := draw(character, name)) is not None
    ]
    drawn.sort(key=lambda item: item[:2])
    characters = sorted({character for character, _, _ in drawn})
    number = {character: row for row, character in enumerate(characters)}
    labels = np.array([number[character] for character, _, _ in drawn])
    face = np.array([face for _, face, _ in drawn])
    images = np.stack([image for _, _, image in drawn])

    same = _same_drawing(images)
    component = _glyph_groups.components(len(characters), labels[same])
    group = np.array([unicodedata.name(characters[first]).lower() for first in component], object)
    role = _roles(characters, group, labels[np.isin(face, _faces_in("train"))])
    fold = _folds_of_items(group, role, labels, face)

    kept = _without_repeats(same, labels, fold)
    shown, labels = np.unique(labels[kept], return_inverse=True)
    trained: np.ndarray = np.zeros(len(shown), bool)
    trained[labels[fold[kept] == "train"]] = True
    columns = _columns([characters[row] for row in shown], group[shown], role[shown], trained)
    return images[kept], labels.astype(np.int64), face[kept].astype(np.int8), columns


def _is_named_and_visible(character):
    return unicodedata.category(character)[0] not in "MCZ" and unicodedata.name(character, "") != ""


def _same_drawing(images):
    """Pairs of items whose drawings are equal or near: (P, 2) int64, first < second, sorted."""
    flat = images.reshape(len(images), -1)
    _, first, distinct = np.unique(flat.view(f"V{flat.shape[1]}").ravel(), return_index=True, return_inverse=True)
    order = np.argsort(distinct.ravel(), kind="stable")
    members = np.split(order, np.cumsum(np.bincount(distinct.ravel()))[:-1])
    themselves: np.ndarray = np.repeat(np.arange(len(first)), 2).reshape(-1, 2)
    near = np.concatenate([themselves, _glyph_groups.near_pairs(images[first])])
    pairs = [(a, b) for i, j in near for a in members[i] for b in members[j] if a != b]
    return np.unique(np.sort(np.array(pairs), axis=1), axis=0)


def _roles(characters, group, trained_labels):
    """Each class's role, a function of its group: (C,) of str. Groups of the ASCII digits are always train."""
    trained = set(group[trained_labels])
    digits = set(group[[characters.index(digit) for digit in DIGITS]])
    role = {
        name: "train" if name in digits else _folds.fold_of(name, world="glyphs", shares=ROLES if shown else ELSEWHERE)
        for name, shown in ((name, name in trained) for name in sorted(set(group)))
    }
    return np.array([role[name] for name in group], object)


def _folds_of_items(group, role, labels, face):
    """Training classes on training faces: train. On new faces: by their group's second hash. All others: their role."""
    new_faces = {name: _folds.fold_of(name, world="glyphs, new faces", shares=ELSEWHERE) for name in set(group)}
    elsewhere = np.array([new_faces[name] if own == "train" else own for name, own in zip(group, role, strict=True)])
    in_train = (role[labels] == "train") & np.isin(face, _faces_in("train"))
    return np.where(in_train, "train", elsewhere[labels]).astype(object)


def _faces_in(role):
    return np.flatnonzero(faces()["face_role"] == role)


def _without_repeats(same, labels, fold):
    """Mask of the items to keep: no drawing twice in a class, and none beside training that stands in training."""
    kept: np.ndarray = np.ones(len(labels), bool)
    for first, second in same:  # sorted, so it is settled by now whether `first` stays
        if kept[first] and labels[first] == labels[second]:
            kept[second] = False
    in_train = fold == "train"
    both = np.concatenate([same, same[:, ::-1]])
    repeats = both[kept[both[:, 0]] & in_train[both[:, 0]] & ~in_train[both[:, 1]], 1]
    kept[repeats] = False
    return kept


def _columns(characters, group, role, trained):
    """The classes table as columns of JSON's types."""
    rows = _glyph_texts.texts_of(characters)
    table = pd.DataFrame({"group": group, "script": [row["script"] for row in rows]})
    by_group = table.groupby("group")["script"]
    text = pd.Series([row["descriptors"] for row in rows])
    words = [set(" ".join(phrases).split()) for phrases in text]
    known_words = set().union(*(said for said, shown in zip(words, trained, strict=True) if shown))
    alias_known, name_known = (
        trained & np.array([_may_be_shown(character, purpose) for character in characters])
        for purpose in ("alias known", "name known")
    )
    return {
        "character": characters,
        "codepoint": [ord(character) for character in characters],
        **{column: [row[column] for row in rows] for column in rows[0]},
        "group": group.tolist(),
        "group_size": by_group.transform("size").tolist(),
        "look_alike": (by_group.transform("nunique") > 1).tolist(),
        "role": role.tolist(),
        "trained": trained.tolist(),
        "described": (table["group"].groupby(text).transform("nunique") == 1).tolist(),
        "words_known": [said <= known_words for said in words],
        "alias_known": alias_known.tolist(),
        "name_known": name_known.tolist(),
        "alias_weight": _alias_weights([row["name"] for row in rows], alias_known),
    }


def _may_be_shown(character, purpose):
    return character in DIGITS or _glyph_texts.position(unicodedata.name(character).lower(), purpose) < KNOWN


def _alias_weights(names, known):
    """Long-tailed weights that add up to 1 over the known aliases, 0 elsewhere; ranks by hash."""
    ranked = sorted(np.flatnonzero(known), key=lambda row: _glyph_texts.position(names[row], "alias rank"))
    weights = np.zeros(len(names))
    weights[ranked] = 1 / (np.arange(len(ranked)) + RANK_SHIFT)
    return (weights / weights.sum()).tolist()


def _record(images, labels, face, columns):
    table = faces().reset_index(names="face")
    classes = pd.DataFrame(columns)
    for column in ("descriptors", "path", "forms", "marks"):
        classes[column] = classes[column].map(tuple)
    group, role, character = (classes[column].to_numpy(object) for column in ("group", "role", "character"))
    fold = _folds_of_items(group, role, labels, face)
    items = pd.DataFrame(
        {"fold": fold, "group": group[labels], "character": character[labels]}
        | {column: table[column].to_numpy(object)[face] for column in table}
    )
    digest = files.digest(images, labels, face, json.dumps(columns), "\n".join(fold), "\n".join(TEMPLATES))
    return ImageText("glyphs", images, labels, classes, items, TEMPLATES, digest)
