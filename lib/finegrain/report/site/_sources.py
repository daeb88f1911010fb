"""The sources of the site: a notebook or a page of Markdown for each page, and the files that they show.

Whatever comes from data or results goes through Jinja's escaping or `finegrain.report.tables`.
"""

import ast
import collections
import html
import json
import re
import shutil
import textwrap
from pathlib import Path

import jinja2
import pandas as pd

from finegrain import files
from finegrain.report import tables
from finegrain.report.site._cards import data_card
from finegrain.report.site._published import Page
from finegrain.run import lists, notebooks, papers
from finegrain.run.session import VERDICTS

HERE = Path(__file__).parent
TEXTS = 8  # samples of a data set in a table
# What a data set's page shows of it, from the tour: the picture and what one sees.
PICTURES = {
    "glyphs": {
        "faces": "Characters in several faces",
        "look_alikes": "Classes that look alike",
        "fine_differences": "Classes that differ in a detail",
    },
    "docstrings": {"docstring_topics": "Topics and how many docstrings they have"},
    "digits": {"digits": "Handwritten digits, a row for each class"},
}


class Sources:
    """A folder of sources for Sphinx, brought up to date: only what changed is written, what is gone is removed."""

    def __init__(self, folder: Path, pages: list[Page]):
        self.folder = folder
        self.pages = pages
        self.kept: set[Path] = set()
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self._templates.filters |= {
            "slug": lambda text: text.replace(" ", "-"),
            "plain": lambda text: text.replace("_", " "),
            "described": described,
            "duration": duration,
            "words": words,
        }

    def write(self) -> None:
        """Write them all."""
        for page in self.pages:
            self._paper(page)
        self._text("index.md", f"# finegrain\n\n{self._front()}\n\n{self._tree()}")
        told = "Each card is a notebook: its headline figure, its primary claim and what came of it."
        gallery = {"pages": self.pages, "tasks": self._tasks(), "verdicts": VERDICTS}
        self._text("gallery.md", f"# Notebooks\n\n{told}\n\n{self._html('gallery.html', **gallery)}")
        for name in PICTURES:
            self._text(f"data/{name}.md", self._data(name))
        self._text("data/public.md", self._public())
        for name, title in (("bench", "Speed"), ("parity", "Published numbers met")):
            self._text(f"{name}.md", self._measured(name, title))
        self._text("glossary.md", (HERE / "glossary.md").read_text(encoding="utf-8"))
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self.kept:
                path.unlink()

    # --- pages ------------------------------------------------------------------------------------------------------

    def _front(self):
        claims = [claim for page in self.pages for claim in page.claims]
        verdicts = collections.Counter(page.verdict for page in self.pages if page.verdict)
        return self._html(
            "front.html",
            pages=[page for page in self.pages if page.claims],
            boards=[page for page in self.pages if page.name.endswith("/leaderboard")],
            judged=sum(claim["verdict"] != VERDICTS[-1] for claim in claims),
            counts=[(verdict, verdicts[verdict]) for verdict in VERDICTS if verdicts[verdict]],
        )

    def _tree(self):
        parts = [("", ["gallery"])]
        for task in self._tasks():
            some = [f"papers/{page.name}" for page in self.pages if page.task == task]
            parts.append((task.replace("_", " ").capitalize(), some))
        parts += [
            ("Data", [f"data/{name}" for name in (*PICTURES, "public")]),
            ("The kit", ["bench", "parity", "glossary"]),
        ]
        return "\n\n".join(
            "```{toctree}\n:hidden:\n"
            + (f":caption: {caption}\n" if caption else "")
            + "\n".join(["", *entries])
            + "\n```"
            for caption, entries in parts
            if entries
        )

    def _paper(self, page: Page):
        up = "../" * (page.name.count("/") + 1)
        head = self._html("head.html", page=page, facts=facts(page), up=up)
        for path in [*page.pictures, *page.files, *page.full]:
            self._copy(path, f"results/{page.name}/{path.relative_to(page.results)}")
        raw = json.loads((page.executed or page.notebook.path).read_text(encoding="utf-8"))
        cells, others = [_markdown(f"# {tables.escaped(page.title)}"), _markdown(head)], raw["cells"]
        source = "".join(others[0]["source"]) if others else ""
        if source.startswith("# ") and others[0]["cell_type"] == "markdown":
            title, _, rest = source.partition("\n")
            cells, others = [_markdown(title), _markdown(head), _markdown(rest)], others[1:]
        if page.executed is None:
            told = (
                f"At scale {page.scale} this notebook has not run here, so its cells show nothing: `make all` runs it."
            )
            cells.append(_markdown(f"```{{note}}\n{told}\n```"))
            cells.append(_markdown(self._html("figures.html", page=page, up=up)))
        raw["cells"] = [_shown(cell) for cell in [*cells, *_headed(others)]]
        raw["metadata"] = {"kernelspec": raw["metadata"].get("kernelspec", {}), "language_info": {"name": "python"}}
        for number, cell in enumerate(raw["cells"]):
            cell["id"] = f"cell-{number}"
        self._text(f"papers/{page.name}.ipynb", notebooks.text(raw))

    def _data(self, name):
        from finegrain.data import load

        module = Path(files.__file__).parent / "data" / f"{name}.py"
        card = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
        parts = [f"# {name.capitalize()}", data_card(card or "")]
        for stem, told in PICTURES[name].items():
            path = files.root() / "figures/foundations/tour" / f"{stem}.svg"
            if path.exists():
                self._copy(path, f"results/tour/{path.name}")
                sample = {"path": f"tour/{path.name}", "alt": described(path, told)}
                parts.append(self._html("samples.html", up="../", **sample))
        data = load(name, "texts" if name == "docstrings" else "images")
        if name == "docstrings":
            rows = range(0, len(data.texts), len(data.texts) // TEXTS)
            frame = data.classes.iloc[[data.labels[row] for row in rows]][["name"]].rename(columns={"name": "topic"})
            frame["text"] = [textwrap.shorten(data.texts[row], 160) for row in rows]
        else:
            columns = ["character", "name", "alias", "descriptors"]
            frame = data.classes[columns].iloc[:: max(1, len(data.classes) // TEXTS)].copy()
            frame["descriptors"] = [", ".join(some) for some in frame["descriptors"]]
        parts += ["## Samples", tables.to_markdown(frame.reset_index(drop=True))]
        return "\n\n".join(parts)

    def _public(self):
        sets = pd.DataFrame(lists.public(), columns=lists.COLUMNS)
        first = sets.drop_duplicates("kind").set_index("kind")["name"]
        boards = {"images": "vision_language", "texts": "text_classification", "retrieval": "retrieval"}
        commands = "\n".join(
            f'make run NB={task}/leaderboard P="dataset={first[kind]}"' for kind, task in boards.items()
        )
        told = (
            "`dataset=` takes these by name: from the hub at a pinned revision, or from where it put them already. "
            "Other repositories and your own folders go by their address; README says how."
        )
        return f"# Public data sets\n\n{told}\n\n```text\n{commands}\n```\n\n{tables.to_markdown(sets)}"

    def _measured(self, name, title):
        folder = files.root() / "figures" / name
        parts = [f"# {title}"]
        if not (folder / "table.md").exists():
            parts.append(f"Nothing has been measured yet: `make {name}` does.")
        for path in sorted(folder.glob("*.svg")):
            self._copy(path, f"results/{name}/{path.name}")
            parts.append(self._html("samples.html", up="", path=f"{name}/{path.name}", alt=described(path, title)))
        parts += [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))]
        return "\n\n".join(parts)

    # --- how --------------------------------------------------------------------------------------------------------

    def _tasks(self):
        return papers.tasks([page.name for page in self.pages])

    def _html(self, template, **values):
        """A template's text as a block that Markdown leaves alone."""
        text = self._templates.get_template(template).render(**values)
        fence = "`" * (3 + max((len(run) for run in re.findall("`+", text)), default=0))
        return f"{fence}{{raw}} html\n{text}\n{fence}"

    def _text(self, name, text):
        path = self.folder / name
        self.kept.add(path)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.write_text(path, text)

    def _copy(self, source, name):
        """Show a file of the results; it stands below extra/, which Sphinx copies as it is."""
        path = self.folder / "extra" / name
        self.kept.add(path)
        copy(source, path)


def copy(source, target):
    """Bring a file up to date; one that is the same keeps its time, by which Sphinx knows what to write anew."""
    if not target.exists() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def facts(page: Page) -> list[tuple[str, str]]:
    """What stands below a verdict: names and values, as text."""
    run = page.run
    found = [("scale", page.judged.get("scale") or run.get("scale", ""))]
    if page.judged.get("seeds"):
        found.append(("seeds", str(len(page.judged["seeds"]))))
    if page.seconds is not None:
        found.append(("time", duration(page.seconds)))
    if run.get("peak_memory_mb"):
        found.append(("memory", f"{run['peak_memory_mb'] / 1000:.1f} GB"))
    if run.get("data"):
        found.append(("data", ", ".join(run["data"])))
    commit = run.get("commit") or {}
    if commit.get("hash"):
        found.append(("commit", commit["hash"][:7] + ("" if commit.get("clean") else ", with changes")))
    return [(name, value) for name, value in found if value]


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(42.4), duration(150)
    ('42 s', '2.5 min')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def words(page: Page) -> str:
    """The text in which the gallery's filter looks."""
    claims = " ".join(claim["statement"] for claim in page.claims)
    return " ".join(f"{page.name.replace('_', ' ')} {page.first} {claims}".lower().split())


def described(path: Path, fallback: str = "") -> str:
    """What a figure says that it shows, or its name in words."""
    return description(path.read_text(encoding="utf-8")) or fallback or f"Figure: {path.stem.replace('_', ' ')}"


def description(svg: str) -> str:
    """The description within an SVG, as plain text; "" where it has none."""
    found = re.search(r"<dc:description>(.*?)</dc:description>", svg[:5000], re.S)
    return html.unescape(found[1]).strip() if found else ""


def _markdown(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _headed(cells):
    """The cells, each with the last heading before it, which tells what its pictures are about."""
    heading = ""
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            found = re.findall(r"(?m)^#{1,4} (.+)$", source)
            heading = found[-1] if found else heading
        yield cell | {"heading": heading}


def _shown(cell):
    """The cell without what a page cannot show; code is folded away, but for the method and the parameters."""
    heading = cell.pop("heading", "")
    if cell["cell_type"] != "code":
        return cell | {"metadata": {}}
    tags = cell.get("metadata", {}).get("tags", [])
    outputs = [one for one in cell["outputs"] if not _is_progress(one)]
    drawn = ["".join(one["data"]["image/svg+xml"]) for one in outputs if "image/svg+xml" in one.get("data", {})]
    alt = (description(drawn[0]) or f"Figure of the section {heading}") if drawn else ""
    metadata = {"tags": [*tags, *([] if {"method", "parameters"} & {*tags} else ["hide-input"])]}
    if alt:
        metadata["mystnb"] = {"image": {"alt": quote_free(alt)}}
    return cell | {"metadata": metadata, "outputs": outputs}


def quote_free(text: str) -> str:
    """Text that may stand in an attribute."""
    return re.sub(r"[<>\"&$`\\]", "", " ".join(text.split()))


def _is_progress(output):
    widget = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    return widget or output.get("name") == "stderr"
