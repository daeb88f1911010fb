"""Where a run puts what it makes: executed notebook, record, per-item results and published figures."""

import re
from dataclasses import dataclass
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError
from finegrain.models import _registry
from finegrain.run import notebooks

SCALES = ("smoke", "default", "full")


@dataclass(frozen=True)
class Place:
    """The files of one run of one notebook, all below `folder` but the published figures.

    name: "retrieval/leaderboard"; scale: one of SCALES; folder: holds the executed notebook and its record;
    figures: where tables, figures and claims.json go when the run has ended well; backbones: where a backbone's
    notebook saves them, None for the shared place.
    """

    name: str
    scale: str
    folder: Path
    figures: Path
    backbones: Path | None = None

    @property
    def stem(self) -> str:
        """The notebook's own name."""
        return self.name.rpartition("/")[2]

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.folder / f"{self.stem}.ipynb"

    @property
    def record(self) -> Path:
        """The run record; only its presence means success."""
        return self.folder / f"{self.stem}.run.json"

    @property
    def dependencies(self) -> Path:
        """What the run read, as a Make dependency file."""
        return self.folder / f"{self.stem}.d"

    @property
    def items(self) -> Path:
        """The folder of per-item results."""
        return self.folder / self.stem

    def backbone(self, name: str) -> Path:
        """The folder of a trained backbone, as this run sees it."""
        return self.backbones / name if self.backbones else _registry.backbone_folder(name, self.scale)

    @property
    def scratch(self) -> Path:
        """The folder of a run in progress."""
        return self.folder / f".{self.stem}.scratch"

    @property
    def turn(self) -> Path:
        """The lock file: one run at a time in this place."""
        return self.folder / f".{self.stem}.lock"


def committed(name: str, scale: str) -> Place:
    """The place of a notebook's run within `make all`: its figures are the committed ones (smoke: below build/)."""
    check_scale(scale)
    if name in _registry.MADE_BY.values() and scale == "full":
        scale = "default"  # default and full share their backbones
    figures = files.build("smoke", "figures") if scale == "smoke" else files.figures()
    figures = figures / name / "full" if scale == "full" else figures / name
    return Place(name, scale, files.build(scale, name).parent, figures)


def separate(name: str, scale: str, given: dict) -> Place:
    """The place of `make run`: a folder of its own for each notebook and set of parameters, below build/runs/.

    Figures stay in that folder unless the parameter `out` names another one; backbones always do.
    """
    check_scale(scale)
    words = ",".join(f"{key}={_plain(value)}" for key, value in given.items() if key != "out") or "defaults"
    slug = re.sub(r"[^\w.,=:+-]+", "-", words).strip("-.")
    if len(slug) > 80 or slug != words:  # shortened or changed: the digest keeps different values apart
        slug = f"{slug[:80]}-{files.digest(repr(sorted(given.items(), key=str)))[:8]}"
    folder = files.build("runs", name, slug)
    out = given.get("out")
    backbones = folder / "backbones" if name in _registry.MADE_BY.values() else None
    return Place(name, scale, folder, files.root() / out if out else folder / "figures", backbones)


def check_scale(scale: str) -> None:
    """Raise InputError if that is no scale."""
    if scale not in SCALES:
        raise InputError(f"scale={scale!r}: {notebooks.nearest(str(scale), SCALES)}")


def _plain(value) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
