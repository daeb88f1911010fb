"""The site of results: whole, closed to the network, usable by keyboard, and text from data stays text.

The site is that of the smoke runs. What needs a browser is skipped where there is no Chromium.
"""

import functools
import html.parser
import http.server
import json
import shutil
import threading
import urllib.parse
from pathlib import Path

import pytest
from running import smoke

from finegrain import files
from finegrain.report.site import build
from finegrain.report.site._cards import data_card
from finegrain.run import notebooks

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
LOOKED_AT = (
    "index",
    "gallery",
    "papers/vision_language/leaderboard",
    "data/glyphs",
    "data/public",
    "bench",
    "glossary",
)
# Hosts that a reader may be sent to by a click; nothing is ever loaded from elsewhere.
LINKED = {"arxiv.org", "doi.org", "www.sphinx-doc.org", "github.com", "pradyunsg.me"}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site, built from smoke runs of all notebooks; one of its own for each test process."""
    for name in notebooks.names():
        smoke(name)
    front, ran = build("smoke", tmp_path_factory.mktemp("site"))
    assert ran == len(notebooks.names())
    return front.parent


class Parsed(html.parser.HTMLParser):
    """What a page points to, loads and is called."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.ids, self.alts = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        has = dict(attributes)
        self.ids |= {has[name] for name in ("id", "name") if has.get(name)}
        if tag == "a" and has.get("href"):
            self.links.append(has["href"])
        if tag == "img":
            self.alts.append(has.get("alt"))
        for name in ("src", "href"):
            if has.get(name) and (tag, name) != ("a", "href"):
                self.loads.append(has[name])


@functools.cache
def parsed(path):
    return Parsed(path.read_text(encoding="utf-8"))


def pages(site):
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def test_every_link_and_picture_leads_to_something_on_the_site(site):
    broken = []
    for page in pages(site):
        for address in [*parsed(page).links, *parsed(page).loads]:
            parts = urllib.parse.urlsplit(address)
            if parts.scheme in ("http", "https"):
                if address in parsed(page).loads or parts.hostname not in LINKED:
                    broken.append((page.name, address))
                continue
            if parts.scheme == "data":
                continue
            target = (page.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else page
            anchor = urllib.parse.unquote(parts.fragment)
            if not target.is_file() or (
                anchor and "=" not in anchor and target.suffix == ".html" and anchor not in parsed(target).ids
            ):
                broken.append((str(page.relative_to(site)), address))
    assert broken == []


def test_every_notebook_has_a_page_with_its_verdict_and_commands_and_a_card(site):
    gallery = (site / "gallery.html").read_text()
    for name in notebooks.names():
        page = (site / f"papers/{name}.html").read_text()
        assert f"make run NB={name} " in page
        assert f"FROM={name}" in page
        assert f'href="papers/{name}.html"' in gallery
        if (files.build("smoke", "figures", name) / "claims.json").exists():
            assert 'aria-label="Verdict"' in page
        assert "has not run here" not in page


def test_every_picture_says_what_it_shows(site):
    for page in pages(site):
        assert None not in parsed(page).alts, page
        assert not [alt for alt in parsed(page).alts if alt.endswith(".svg")], page


def test_a_checkout_without_runs_has_a_site_of_its_figures(kit):
    kit.notebook("retrieval/one", "1")
    page = published_page(kit, '{"claims": [], "title": "One"}')
    assert "has not run here" in page


def test_text_from_data_stays_text(kit):
    """A class, a claim and a title that are markup: none of it becomes an element of a page."""
    evil = "<script>alert(1)</script>"
    claim = {
        "statement": evil,
        "verdict": "supported",
        "words": evil,
        "effect": 0.1,
        "interval": [0, 1],
        "p_holm": None,
    }
    source = "import pandas as pd\nfrom finegrain.report import Report\nreport = Report('retrieval/one', out=out)\n"
    source += f"display(report.table(pd.DataFrame({{'arm': [{evil!r}], {evil!r}: [1.0]}}), caption={evil!r}))\n{evil!r}"
    kit.notebook("retrieval/one", source)
    assert kit.make("all").returncode == 0
    page = published_page(kit, json.dumps({"title": evil, "claims": [claim | {"primary": True, "name": "a"}]}))
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "<script>alert" not in (kit.root / "build/site/gallery.html").read_text()


def published_page(kit, claims):
    folder = kit.root / "figures/retrieval/one"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "claims.json").write_text(claims)
    shutil.copytree(files.build("worlds"), kit.root / "build/worlds", dirs_exist_ok=True)
    result = kit.make("report")
    assert result.returncode == 0, result.stdout + result.stderr
    return (kit.root / "build/site/papers/retrieval/one.html").read_text()


def test_a_data_card_becomes_markdown():
    blocks = ['World "a": things.', "What: 3 `x_y` of <b>."]
    blocks += ["Kinds\n    texts: many\n        of them\n    pairs: few", "A:\n    b   c"]
    card = "\n\n".join(blocks)
    assert data_card(card).split("\n\n") == [
        '**World "a".** things.',
        "**What.** 3 `x_y` of \\<b>.",
        "**Kinds**",
        "- texts: many of them\n- pairs: few",
        "```text\nA:\n    b   c\n```",
    ]


# --- in a browser -----------------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served on the loopback address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def page(browser, address):
    """An open page that notes what a reader should never meet: errors in the console and requests that leave."""
    context = browser.new_context(viewport=WIDE, accept_downloads=True)
    opened = context.new_page()
    faults = []
    opened.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "request", lambda asked: None if asked.url.startswith((address, "data:", "blob:")) else faults.append(asked.url)
    )
    opened.on("response", lambda got: faults.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    yield opened
    context.close()
    assert faults == []


def test_no_page_complains_or_asks_for_anything_elsewhere(page, site, address):
    for path in pages(site):
        page.goto(f"{address}/{path.relative_to(site)}")
        page.wait_for_load_state("networkidle")


def test_the_gallery_filters_by_task_verdict_and_words_without_a_reload(page, address):
    page.goto(f"{address}/gallery.html")
    shown = page.locator(".fg-card:visible")
    everything = shown.count()
    assert everything == len(notebooks.names())
    page.evaluate("window.same = true")
    page.select_option("#fg-task", "retrieval")
    assert 0 < shown.count() < everything
    assert page.locator(".fg-shown").inner_text() == f"{shown.count()} of {everything} notebooks"
    page.fill("#fg-text", "xyzzy")
    assert shown.count() == 0
    page.fill("#fg-text", "bm25")
    assert shown.count() >= 1
    assert page.evaluate("window.same")
    page.goto(f"{address}/gallery.html#task=backbones")
    page.reload()
    assert shown.count() == sum(name.startswith("backbones/") for name in notebooks.names())


def test_the_search_finds_a_word_of_a_notebook(page, address):
    page.goto(f"{address}/search.html?q=homoglyph")
    page.wait_for_selector("ul.search li a")
    assert page.locator("ul.search li a").count() >= 1


def test_tables_sort_and_save_and_figures_enlarge_by_keyboard(page, address):
    page.goto(f"{address}/bench.html")
    header = page.locator("th", has_text="ratio").first
    button = header.locator("button")
    button.focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    column = page.evaluate("t => t.cellIndex", header.element_handle())
    read = "n => [...document.querySelectorAll('table tbody tr')].map(r => parseFloat(r.cells[n].textContent))"
    ascending = page.evaluate(read, column)
    assert ascending == sorted(ascending)
    page.keyboard.press("Enter")
    assert page.evaluate(read, column) == sorted(ascending, reverse=True)
    with page.expect_download() as download:
        page.locator(".fg-csv").first.click()
    text = Path(download.value.path()).read_text()
    assert len(text.splitlines()) == len(ascending) + 1
    zoom = page.locator(".fg-zoom").first
    zoom.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] img").get_attribute("alt")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


@pytest.mark.parametrize("name", LOOKED_AT)
def test_pages_are_usable_by_all_and_fit_a_phone(page, address, name):
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{address}/{name}.html")
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        page.wait_for_timeout(800)  # what was folded fades in; half faded it has half the contrast
        found = Axe().run(page).response["violations"]
        serious = [
            (one["id"], scheme, one["nodes"][0]["html"][:160], one["nodes"][0]["failureSummary"][:300])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
