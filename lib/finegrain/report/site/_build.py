"""From sources to pages: Sphinx with myst-nb, offline."""

import fcntl
import io
import re
from importlib import metadata
from pathlib import Path

import finegrain
from finegrain import files
from finegrain.errors import InputError
from finegrain.report.site._published import published
from finegrain.report.site._sources import HERE, Sources, copy

MATHJAX = "sphinx-mathjax-offline"  # the distribution that carries it


def build(scale: str = "default", folder: Path | None = None) -> tuple[Path, int]:
    """Build the site from the notebooks that have run at a scale, and from figures/ where they have not.

    Returns the front page and how many notebooks stand on the site with their outputs. Raises InputError where a
    package of the site is missing or Sphinx has something to complain about.
    """
    folder = folder or files.build("site")
    pages = published(scale)
    sources = files.build(".site", scale)
    sources.mkdir(parents=True, exist_ok=True)
    with open(sources / ".lock", "w") as turn:  # one build at a time
        fcntl.flock(turn, fcntl.LOCK_EX)
        Sources(sources / "pages", pages).write()
        _static(sources / "static")
        _sphinx(sources, folder)
    return folder / "index.html", sum(page.executed is not None for page in pages)


def _sphinx(sources, folder):
    try:
        from sphinx.application import Sphinx
        from sphinx.errors import SphinxError
        from sphinx.util.docutils import docutils_namespace, patch_docutils
    except ImportError as error:
        raise InputError(f"the site needs the package {error.name}: install requirements.lock") from None
    settings = {
        "project": "finegrain",
        "copyright": "the finegrain authors",
        "release": finegrain.__version__,
        "extensions": ["myst_nb"],
        "exclude_patterns": ["extra"],
        "html_theme": "furo",
        "html_title": "finegrain",
        "pygments_style": "a11y-high-contrast-light",
        "html_favicon": str(sources / "static" / "icon.svg"),
        "html_static_path": [str(sources / "static")],
        "html_extra_path": [str(sources / "pages" / "extra")],
        "html_css_files": ["site.css"],
        "html_js_files": [("site.js", {"defer": "defer"})],
        "html_copy_source": False,
        "html_show_sourcelink": False,
        "mathjax_path": "mathjax/tex-chtml.js",
        "myst_enable_extensions": ["amsmath", "deflist", "dollarmath"],
        "nb_execution_mode": "off",
        "nb_output_stderr": "remove",
        "nb_ipywidgets_js": {},
        # Outputs without a form for pages (a progress bar); Python text that the highlighter cannot read; headings that
        # a notebook begins one level down.
        "suppress_warnings": ["mystnb.unknown_mime_type", "misc.highlighting_failure", "myst.header"],
    }
    warnings = io.StringIO()
    pages = sources / "pages"
    with patch_docutils(), docutils_namespace():
        try:
            app = Sphinx(
                pages, None, folder, sources / "doctrees", "html", settings, status=None, warning=warnings, parallel=2
            )
            app.build(force_all=True)  # reads what changed, writes all: each page has the list of pages
        except SphinxError as error:
            raise InputError(f"the site was not built: {error}") from None
    told = re.sub(r"\x1b\[[0-9;]*m", "", warnings.getvalue()).replace(f"{pages}/", "")
    if told.strip():
        lines = list(dict.fromkeys(told.strip().splitlines()))
        raise InputError("the site is there, but has faults:\n  " + "\n  ".join(lines[:20]))


def _static(folder):
    """The kit's own style and script, and the part of MathJax that the pages load."""
    for path in (HERE / "static").iterdir():
        copy(path, folder / path.name)
    try:
        carried = metadata.files(MATHJAX) or []
    except metadata.PackageNotFoundError:
        raise InputError(f"the site needs the package {MATHJAX}: install requirements.lock") from None
    for file in carried:
        _, found, name = str(file).partition("static/mathjax/")
        if found and (name == "tex-chtml.js" or name.startswith("output/chtml/fonts/woff-v2/")):
            copy(Path(str(file.locate())), folder / "mathjax" / name)
