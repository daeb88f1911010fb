"""JupyterLab in a browser: the start page links to all, the bench runs all its cells, and a field is answered."""

import os
import re
import shutil

import pytest
from running import ROOT, TOKEN, environment, laboratory, smoke

from finegrain import files
from finegrain.run import notebooks


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """The address of a running `make lab`, and the path in it of the bench at smoke scale."""
    for name in ("backbones/glyph_clip", "retrieval/leaderboard"):
        smoke(name)
    folder = files.build("runs", f"lab-{os.getpid()}")
    folder.mkdir(parents=True)
    text = (notebooks.folder() / "explore.ipynb").read_text(encoding="utf-8")
    small = text.replace('scale: str = \\"default\\"', 'scale: str = \\"smoke\\"')
    small = small.replace("documents: int = 600", "documents: int = 60")
    assert small.count("smoke\\") > text.count("smoke\\")
    (folder / "explore.ipynb").write_text(small, encoding="utf-8")
    try:
        with laboratory(ROOT, environment(), tmp_path_factory.mktemp("jupyter")) as (_, port):
            yield f"http://127.0.0.1:{port}", f"{files.shown(folder)}/explore.ipynb"
    finally:
        shutil.rmtree(folder)


def opened(browser, address):
    page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{address}?token={TOKEN}")
    return page


def test_the_laboratory_opens_on_a_page_that_links_to_every_notebook(browser, lab):
    page = opened(browser, lab[0])
    page.locator(".jp-Notebook .jp-RenderedMarkdown li a").nth(len(notebooks.names()) - 1).wait_for()
    assert page.url.split("?")[0].endswith("/lab/tree/notebooks/start.ipynb")
    shown = " ".join(page.locator(".jp-Notebook .jp-RenderedMarkdown a").all_inner_texts())
    for name in notebooks.names():
        title = re.match(r"# (.+)", notebooks.find(name).cells[0].source)[1]
        assert " ".join(title.split()) in " ".join(shown.split()), name
    page.context.close()


def test_the_bench_runs_all_its_cells_and_answers_what_is_typed(browser, lab):
    address, path = lab
    page = opened(browser, f"{address}/lab/workspaces/bench/tree/{path}")
    page.get_by_text("finegrain | Idle").wait_for()  # before it, cells that are told to run do not
    page.locator("#jp-MainMenu .lm-MenuBar-itemLabel", has_text="Run").click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    query = page.locator(".jp-OutputArea input[type=text]").nth(1)
    query.wait_for()
    page.locator(".jp-OutputArea mark").first.wait_for()
    assert page.locator(".jp-OutputArea [data-mime-type*=stderr]").all_inner_texts() == []
    query.fill("zyzzyva")  # no document has it: BM25 finds nothing, the encoder always something
    query.press("Enter")
    page.locator(".jp-OutputArea li", has_text="nothing").wait_for()
    assert page.locator(".jp-OutputArea mark").count() == 0
    assert page.locator(".jp-OutputArea li").count() > 5
    character = page.locator(".jp-OutputArea input[type=text]").first
    character.fill("no")
    character.press("Enter")
    page.get_by_text("give one character").wait_for()
    character.fill("ê")
    character.press("Enter")
    page.get_by_text("give one character").wait_for(state="detached")
    page.context.close()
