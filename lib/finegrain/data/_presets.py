"""Public data sets by a short name: where they lie on the hub, how they are read, and what others measured on them.

Plain facts: repositories with the revisions that MTEB pins where it has the data set, CLIP's prompt templates, and a
published score as a landmark. Nothing here is downloaded before `load` is called with the name.
"""

import dataclasses
from collections.abc import Callable

from finegrain.errors import InputError


@dataclasses.dataclass(frozen=True)
class Preset:
    """One public data set.

    kind: images, texts or retrieval. source: for `load_hub`, "hf:owner/name@revision?column=..."; empty where no
    repository holds it in a layout that loads. templates: prompts of CLIP for its classes.
    names: of the classes in the order of their numbers, where the source has numbers only or other words.
    measure: what is usually reported; published: (score, of what, by whom).
    """

    kind: str
    source: str
    measure: str
    templates: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    names: Callable[[], list[str]] | None = None
    published: tuple[float, str, str] | None = None

    def load(self, kind: str | None = None):
        """The record, with these templates and class names. Raises InputError as `load_hub` does."""
        from finegrain.data import _hub

        if not self.source:
            raise InputError("the hub holds this data set in no layout that loads: give a local folder of it")
        if kind not in (None, self.kind):
            raise InputError(f"{self.source} cannot be loaded as {kind!r}; it gives {self.kind}")
        record = _hub.load_hub(self.source, self.kind)
        if self.names is not None:
            record = dataclasses.replace(record, classes=record.classes.assign(name=self.names()))
        templates = self.templates() if callable(self.templates) else self.templates
        return dataclasses.replace(record, templates=templates) if templates else record


OPEN_CLIP, BEIR = "ViT-B-32/openai", "BEIR (Thakur et al., 2021)"
MTEB, ITS_RESULTS = "all-MiniLM-L6-v2", "MTEB's results"


def _clip(score: float) -> tuple[float, str, str]:
    return score, f"{OPEN_CLIP}, zero-shot", "open_clip's results"


def _photos(*kinds: str) -> tuple[str, ...]:
    return tuple(f"a {kind}photo of {article} {{}}." for article in ("a", "the") for kind in ("", *kinds))


def _imagenet_names() -> list[str]:
    from open_clip import IMAGENET_CLASSNAMES

    return list(IMAGENET_CLASSNAMES)


def _imagenet_templates() -> tuple[str, ...]:
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)


_CIFAR = _photos(
    "blurry ", "black and white ", "low contrast ", "high contrast ", "bad ", "good ", "small ", "big "
)  # fmt: skip
_TEXTURE = tuple(
    f"a photo of {article} {{}} {noun}."
    for article in ("a", "the")
    for noun in ("texture", "pattern", "thing", "object")
)

PRESETS = {
    "cifar10": Preset(
        "images", "hf:mteb/cifar10@69a62dd171e24a133d193073e73fda4dbb823266?image=img", "accuracy", _CIFAR,
        published=_clip(89.83),
    ),
    "cifar100": Preset(
        "images", "hf:mteb/cifar100@ac5511f885f65fb75d31a9d8810a8440913f7721?image=img&label=fine_label", "accuracy",
        _CIFAR, published=_clip(64.23),
    ),
    "pets": Preset(
        "images", "hf:mteb/OxfordPets@557b480fae8d69247be74d9503b378a09425096f", "mean per class",
        ("a photo of a {}, a type of pet.",), published=_clip(87.00),
    ),
    "food101": Preset(
        "images", "hf:mteb/food101@7cca05bfde8fdad4a9b39ed14a881c800cc1dca2", "accuracy",
        ("a photo of {}, a type of food.",), published=_clip(84.00),
    ),
    "flowers102": Preset(
        "images", "hf:mteb/oxford-flowers@df976877feae05654b0fcd8b394baff731b00652", "mean per class",
        ("a photo of a {}, a type of flower.",), published=_clip(66.70),
    ),
    "dtd": Preset(
        "images", "hf:mteb/dtd@96726183040de9e64a590d08eaac8de940dfcbdf", "accuracy", _TEXTURE, published=_clip(44.36)
    ),
    "eurosat": Preset(
        "images", "hf:mteb/eurosat-rgb@da02b77448e750b3b034e0b5da008167b9706571", "accuracy",
        tuple(f"a centered satellite photo of {article}{{}}." for article in ("", "a ", "the ")),
        published=_clip(50.44),
    ),
    "cub": Preset(
        "images", "hf:bentrevett/caltech-ucsd-birds-200-2011", "accuracy", ("a photo of a {}, a type of bird.",),
        published=(51.28, f"{OPEN_CLIP}, by name", "Roth et al., 2023"),
    ),
    "imagenet": Preset(
        "images", "hf:mteb/wds_imagenet1k@b54c9af96641d8a2cba5d1144629c724de94ef76?image=jpg&label=cls&split=test",
        "accuracy", _imagenet_templates, _imagenet_names, published=_clip(63.32),
    ),
    "ag_news": Preset("texts", "hf:fancyzhx/ag_news@eb185aade064a813bc0b7f42de02595523103ca4", "accuracy"),
    "trec": Preset("texts", "hf:CogComp/trec@refs/convert/parquet?label=coarse_label", "accuracy"),
    "banking77": Preset(
        "texts", "hf:mteb/banking77@0fd18e25b25c072e09e0d92ab615fda904d66300?label=label_text", "accuracy",
        published=(80.04, f"{MTEB}, 8 texts a class", ITS_RESULTS),
    ),
    "clinc150": Preset("texts", "hf:clinc/clinc_oos?config=plus&label=intent", "accuracy"),
    "20newsgroups": Preset("texts", "hf:SetFit/20_newsgroups?label=label_text", "accuracy"),
    "arxiv": Preset("texts", "hf:mteb/ArxivClassification@5e80893bf045abefbf8cbe5d713bddc91ae158d5", "accuracy"),
    "scifact": Preset(
        "retrieval", "hf:mteb/scifact@d56462d0e63a25450459c4f213e49ffdb866f7f9", "nDCG@10",
        published=(64.51, MTEB, ITS_RESULTS),
    ),
    "nfcorpus": Preset(
        "retrieval", "hf:mteb/nfcorpus@ec0fa4fe99da2ff19ca1214b7966684033a58814", "nDCG@10",
        published=(32.5, "BM25", BEIR),
    ),
    "fiqa": Preset(
        "retrieval", "hf:mteb/fiqa@27a168819829fe9bcd655c2df245fb19452e8e06", "nDCG@10",
        published=(23.6, "BM25", BEIR),
    ),
    "arguana": Preset(
        "retrieval", "hf:mteb/arguana@c22ab2a51041ffd869aaddef7af8d8215647e41a", "nDCG@10",
        published=(31.5, "BM25", BEIR),
    ),
    "cranfield": Preset("retrieval", "", "nDCG@10"),
}  # fmt: skip
