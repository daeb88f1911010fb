"""What the site shows of a notebook, read from where runs leave it: figures/, its record and the executed notebook."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from finegrain import files
from finegrain.run import notebooks, papers, places, record


@dataclass(frozen=True)
class Page:
    """One notebook with its published results.

    name: "retrieval/leaderboard"; scale: of the executed notebook; results: the folder of its figures at that scale,
    or at default where it has not run; judged: claims.json of the full scale where there is one, else of `results`.
    """

    name: str
    scale: str
    notebook: notebooks.Notebook
    results: Path
    executed: Path | None
    judged: dict = field(default_factory=dict)
    run: dict = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The folder below notebooks/."""
        return self.name.partition("/")[0]

    @property
    def title(self) -> str:
        """The heading that it begins with, or its name."""
        return papers.title(self.notebook)

    @property
    def first(self) -> str:
        """The text of the first cell; "" where it is code."""
        return papers.opening(self.notebook)

    @property
    def about(self) -> str:
        """What the first cell says in bold, the paper's claim, as plain text; "" where it says none."""
        found = re.search(r"\*\*Claim\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", self.first, re.S)
        return " ".join(re.sub(r"[*`$\\]", "", found[1]).split()) if found else ""

    @property
    def claims(self) -> list[dict]:
        """The judged claims, the primary one first."""
        return sorted(self.judged.get("claims", []), key=lambda claim: not claim.get("primary"))

    @property
    def verdict(self) -> str:
        """The primary claim's; "" for a notebook without claims."""
        return self.claims[0]["verdict"] if self.claims else ""

    @cached_property
    def pictures(self) -> list[Path]:
        """The published figures, the headline first."""
        return _pictures(self.results)

    @cached_property
    def full(self) -> list[Path]:
        """The figures of the full scale, where `results` are not those themselves."""
        return _pictures(self.results / "full")

    @property
    def files(self) -> list[Path]:
        """The published tables and records."""
        return sorted([*self.results.glob("*.csv"), *self.results.glob("*.json")])

    @property
    def seconds(self) -> float | None:
        """Of the run behind the verdict, cached answers with the seconds that they once took."""
        return record.price(self.run)

    @property
    def reference(self) -> str:
        """The paper's entry of references.bib, by the arXiv id that the first cell names; "" where there is none."""
        ids = re.findall(r"\b\d{4}\.\d{4,5}\b", self.first)
        for entry in re.split(r"(?m)^(?=@)", _bibliography()):
            if any(f"eprint = {{{number}}}" in entry for number in ids):
                return entry.strip()
        return ""


def published(scale: str) -> list[Page]:
    """A page for every notebook in the task folders, by task and name; leaderboards first."""
    names = notebooks.names()
    tasks = papers.tasks(names)
    found = [_page(name, scale) for name in names]
    return sorted(found, key=lambda p: (tasks.index(p.task), not p.name.endswith("/leaderboard"), p.name))


def _page(name: str, scale: str) -> Page:
    place = places.committed(name, scale)
    results = place.figures if place.figures.is_dir() else places.committed(name, "default").figures
    best = papers.judged(results)
    ran = place.executed.exists() and record.load(place.record)
    return Page(
        name,
        scale,
        notebooks.find(name),
        results,
        place.executed if ran else None,
        record.load(best / papers.CLAIMS) or {},
        record.load(best / record.PUBLISHED) or (record.load(place.record) if ran else None) or {},
    )


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.svg"), key=lambda path: (path.stem != "headline", path.stem))


def _bibliography() -> str:
    path = files.root() / "references.bib"
    return path.read_text(encoding="utf-8") if path.exists() else ""
