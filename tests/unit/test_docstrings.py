"""The docstrings world: how docstrings are read and cleaned, and what it holds in this version of its sources."""

import textwrap

import numpy as np
import pandas as pd
import pytest

from finegrain import InputError
from finegrain.data import _docstring_topics, _docstring_world, _folds, docstrings, load
from finegrain.data._docstring_inline import InlineCleaner
from finegrain.data._docstring_prose import parse
from finegrain.data._docstring_reading import read_package
from finegrain.data._near_duplicates import near_duplicate_groups

CLEAN = InlineCleaner({"numpy", "scipy", "signal", "torch"})
DIGESTS = {
    "texts": "0ce901ad11cb06de6af7d0cec3cb8e8852c3d68d3031fb8f77e4b539fc29c5bd",
    "retrieval": "259a03228af66656d73a7edf707291b7a5cf3c7af31064a187dbae32670ae34f",
    "pairs": "700de40fdb8e105b412e924c82d889368950d59d2d5418fbe2df21a288f0e472",
}


def prose(raw):
    return parse(textwrap.dedent(raw), CLEAN)


def test_numpydoc_sections_become_paragraphs_and_links():
    found = prose("""
        Design a filter. It is *stable*.

        .. versionadded:: 1.2
            Really.

        Parameters
        ----------
        taps : int, optional
            How many taps,
            at least one.
        window : str

        Returns
        -------
        h : ndarray
            The response [1]_.

        See Also
        --------
        scipy.signal.freqz, lfilter : Related things.
        firls

        References
        ----------
        .. [1] Somebody.

        Examples
        --------
        Plain words remain.

        >>> design(3)
        array([1.])
        """)
    assert found.summary == "Design a filter."
    assert found.sections == (
        ("", ("It is stable.",)),
        ("Parameters", ("taps (int, optional): How many taps, at least one.", "window (str)")),
        ("Returns", ("h (ndarray): The response.",)),
        ("Examples", ("Plain words remain.",)),
    )
    assert found.see_also == ("scipy.signal.freqz", "lfilter", "firls")


def test_google_sections_end_where_the_indentation_does():
    found = prose("""Loads a model.

        Args:
            path (`str`, *optional*): Where it is,
                or a name.
            strict: Whether all
                keys must fit.

        Note that this is slow::

            load("x")

        Returns:
            Module: the model, which
            may be large.
        """)
    assert found.sections == (
        ("Parameters", ("path (str, optional): Where it is, or a name.", "strict: Whether all keys must fit.")),
        ("", ("Note that this is slow:",)),
        ("Returns", ("Module: the model, which may be large.",)),
    )


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        (":func:`~scipy.signal.firwin` and :class:`Filter <scipy.signal.Filter>`", "firwin and Filter"),
        ("see scipy.signal.firwin2, e.g. as np.float64", "see firwin2, e.g. as float64"),
        ("a NumPy array, PyTorch's tensors, torch.Tensor", "a array, tensors, Tensor"),
        ("`the guide <https://a.b/c>`_ at https://a.b", "the guide at"),
        (r":math:`\frac{1}{2}\pi x`, `\mathcal{C} \rightarrow D`", "(1)/(2) pi x, C rightarrow D"),
        ("**bold**, *args*, *args and **kwargs", "bold, args, *args and **kwargs"),
        ("``numpy/scipy`` in setup.py of 2.5 x.y", "in setup.py of 2.5 x.y"),
        ("[`Trainer`] and [the docs](x.md) <b>now</b> <name>", "Trainer and the docs now <name>"),
    ],
)
def test_markup_becomes_plain_text(markup, plain):
    assert CLEAN(markup) == plain


def test_indentation_is_cleaned_alike_whether_or_not_the_compiler_did():
    as_written = "Sums.\n\n        Parameters\n        ----------\n        x : int\n            It.\n        "
    as_compiled = "Sums.\n\nParameters\n----------\nx : int\n    It.\n"
    assert parse(as_written, CLEAN) == parse(as_compiled, CLEAN)


def test_a_package_is_read_in_order_without_being_imported(tmp_path):
    package = tmp_path / "pack"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text('raise ImportError("read, not imported")\ndef f():\n    """F."""\n')
    (package / "tests" / "test_a.py").write_text('def g():\n    """G."""\n')
    (package / "skipped.py").write_text('def h():\n    """H."""\n')
    (package / "b.py").write_text(
        'class A:\n    """A."""\n    def m(self):\n        """M."""\n        def inner():\n            """I."""\n'
    )
    found = [(one.module, one.name, one.kind, one.raw) for one in read_package(package, ("pack.skipped",))]
    assert found == [
        ("pack", "f", "function", "F."),
        ("pack.b", "A", "class", "A."),
        ("pack.b", "A.m", "method", "M."),
    ]


def test_near_duplicate_groups_are_components_of_exact_similarity():
    base = [f"w{number}" for number in range(30)]
    texts = [base, [*base[:-6], "x"], base[6:], ["other"] * 5, [f"v{number}" for number in range(30)]]
    assert near_duplicate_groups(texts).tolist() == [0, 0, 0, 3, 4]


def test_see_also_names_are_resolved_by_path_class_module_and_subpackage():
    rows = [
        ("p.a._x", "f", "function", ("g", "p.b.g", "K.m", "absent")),
        ("p.a._y", "g", "function", ()),
        ("p.b", "g", "function", ()),
        ("p.a._x", "K", "class", ("m",)),
        ("p.a._x", "K.m", "method", ("n",)),
        ("p.a._x", "K.n", "method", ()),
        ("p.b", "n", "function", ()),
    ]
    table = pd.DataFrame(rows, columns=["module", "object", "kind", "see_also"]).assign(package="p")
    table.index = table["module"] + "." + table["object"]
    found = dict(zip(table.index, _docstring_world._resolved(table), strict=True))
    assert found["p.a._x.f"] == ("p.a._y.g", "p.b.g", "p.a._x.K.m")
    assert found["p.a._x.K.m"] == ("p.a._x.K.n",)


def test_a_missing_package_is_named(monkeypatch):
    package = _docstring_topics.Package("no-such-package", "X", "MIT", ("nothing",))
    monkeypatch.setattr(_docstring_topics, "PACKAGES", (package,))
    with pytest.raises(InputError, match="no-such-package"):
        _docstring_world.key()


def test_no_topic_name_is_used_in_two_packages():
    packages = {}
    for module, topic in _docstring_topics.TOPICS.items():
        package = next(one.name for one in _docstring_topics.PACKAGES if module.split(".")[0] in one.folders)
        assert packages.setdefault(topic or module, package) == package, topic


@pytest.mark.parametrize("kind", DIGESTS)
def test_the_version_of_this_world(kind):
    assert load("docstrings", kind).digest == DIGESTS[kind]


def test_the_data_card_says_what_there_is():
    table, texts = docstrings.docstring_table(), load("docstrings")
    retrieval, pairs = load("docstrings", "retrieval"), load("docstrings", "pairs")
    card = " ".join(docstrings.__doc__.split())
    assert f"{len(table):,} distinct docstrings" in card
    assert f"{table['n_words'].sum() / 1e6:.1f} million words, of {table['package'].nunique()} packages" in card
    assert f"{len(texts):,} docstrings of {len(texts.classes)} topics" in card
    assert f"{texts.items['contains_class_word'].mean():.0%}".replace("%", " %") + " of the texts hold" in card
    assert f"{len(retrieval):,} queries and as many documents" in card
    further = retrieval.qrels[retrieval.qrels["grade"] == 1]
    assert f"{len(further):,} judgements of {further['query_id'].nunique():,} queries" in card
    assert f"{len(pairs):,} pairs" in card
    assert (
        f"{pairs.labels.sum():,.0f} related (1.0; {(pairs.items['relation'] == 'see also').sum():,} by See Also" in card
    )
    assert f"{table['group'].nunique():,} groups, the largest has {table['group'].value_counts().max()}" in card
    shares = table["fold"].value_counts(normalize=True)
    assert ", ".join(f"{fold} {shares[fold]:.0%}".replace("%", " %") for fold in _folds.FOLDS) in card
    for package in _docstring_topics.PACKAGES:
        assert package.title in card


def test_texts_have_topics_of_the_stated_sizes_and_sections_that_start_where_they_say():
    texts = load("docstrings")
    sizes = np.bincount(texts.labels)
    assert sizes.min() >= 40
    assert sizes.max() <= 400
    assert len(sizes) >= 60
    assert texts.classes["name"].is_unique
    assert set(texts.items["fold"]) == set(_folds.FOLDS)
    row = docstrings.docstring_table().loc["scipy.signal._fir_filter_design.firwin"]
    start = dict(zip(row["section_titles"], row["section_starts"], strict=True))["Parameters"]
    assert row["body"][start:].startswith("numtaps (int): Length of the filter")


def test_a_summary_is_to_find_its_body_and_what_that_names():
    retrieval = load("docstrings", "retrieval")
    own = retrieval.qrels[retrieval.qrels["grade"] == 2]
    assert (own["query_id"].str[2:] == own["document_id"].str[2:]).all()
    assert own["query_id"].is_unique
    assert set(own["query_id"]) == set(retrieval.queries.index)
    assert set(retrieval.qrels["document_id"]) <= set(retrieval.documents.index)
    assert not retrieval.qrels.duplicated(["query_id", "document_id"]).any()
    linked = retrieval.qrels.query("query_id == 'q:sklearn.feature_selection._rfe.RFE' and grade == 1")["document_id"]
    assert "d:sklearn.feature_selection._rfe.RFECV" in set(linked)


def test_pairs_are_balanced_and_their_labels_follow_from_the_packages():
    table, pairs = docstrings.docstring_table(), load("docstrings", "pairs")
    assert pairs.labels.mean() == 0.5
    same = pairs.items["name"].map(table["package"]) == pairs.items["name_second"].map(table["package"])
    assert (same.to_numpy() == (pairs.labels == 1)).all()
    assert (pairs.items["group"] != pairs.items["group_second"]).all()


def test_a_damaged_or_missing_cache_is_made_again(tmp_path, monkeypatch):
    table = pd.DataFrame({"summary": ["S."]}, index=pd.Index(["a.b"], name="name"))
    made = []
    monkeypatch.setenv("FINEGRAIN_BUILD", str(tmp_path))
    monkeypatch.setattr(_docstring_world, "build", lambda: made.append(1) or (table, table, table))
    for _ in range(2):
        pd.testing.assert_frame_equal(docstrings._world.__wrapped__()[0], table)
    assert len(made) == 1
    next(tmp_path.rglob("*-table.parquet")).write_bytes(b"PAR1 damaged")
    pd.testing.assert_frame_equal(docstrings._world.__wrapped__()[0], table)
    assert len(made) == 2
