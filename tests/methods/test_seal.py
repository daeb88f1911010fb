"""SEAL: the FM-index against a plain scan, the search and the score against plain loops."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from running import awkward, on_folder, told_without_queries_or_documents

from finegrain import InputError
from finegrain.seeding import generator

NOTEBOOK = "retrieval/seal"


def corpora():
    """Small corpora that repeat themselves: lists of symbols from 2 on."""
    rng = generator(0, "corpora")
    for letters in (1, 2, 5):
        for count in (1, 3, 8):
            yield [rng.integers(2, 2 + letters, rng.integers(1, 14)).tolist() for _ in range(count)]
    yield [[2, 3, 2, 3, 2, 3]] * 3  # identical documents
    yield [[5] * 70, [5] * 20, [9]]  # symbols that do not occur between those that do, one symbol again and again
    yield [rng.integers(2, 40, 150).tolist() for _ in range(3)]


def scan(documents, gram):
    """Document and place of the last symbol of each occurrence."""
    size = len(gram)
    return [
        (number, start + size - 1)
        for number, one in enumerate(documents)
        for start in range(len(one) - size + 1)
        if one[start : start + size] == list(gram)
    ]


def grams_of(documents, most=4):
    """N-grams that occur, and some that do not."""
    found = {tuple(one[i : i + n]) for one in documents for i in range(len(one)) for n in range(1, most + 1)}
    rng, top = generator(0, "grams"), max(map(max, documents))
    found |= {tuple(rng.integers(2, top + 1, rng.integers(1, most + 1)).tolist()) for _ in range(40)}
    return sorted(found)[:: max(1, len(found) // 20)]


def edges_of(index, gram):
    low, high = np.array([0]), np.array([index.size])
    for symbol in gram:
        low, high = index.extend(np.array([symbol]), low, high)
    return low, high


# --- the index --------------------------------------------------------------------------------------------------------


def test_the_suffix_array_is_that_of_plain_sorting(method):
    rng = generator(0, "suffixes")
    texts = [rng.integers(0, letters, n) for letters in (1, 2, 3, 30) for n in (1, 2, 3, 17, 100)]
    for text in [*texts, np.tile([3, 1, 3, 1, 2], 30)]:
        plain = sorted(range(len(text)), key=lambda start, text=text: text[start:].tolist())
        assert method.suffix_array(text).tolist() == plain


def test_ones_are_counted_before_every_place(method):
    rng = generator(0, "bits")
    for n in (1, 63, 64, 65, 128, 500):
        bits = rng.random(n) < 0.4
        there, before = method.Bits(bits)(np.arange(n))
        assert there.tolist() == bits.tolist()
        assert before.tolist() == [int(bits[:place].sum()) for place in range(n)]
        assert method.Bits(bits)(np.array([n]))[1].tolist() == [int(bits.sum())]


def test_counts_and_places_of_ngrams_are_those_of_a_scan(method):
    for documents in corpora():
        for every in (1, 3, 8):
            index = method.FMIndex(documents, every)
            for gram in grams_of(documents):
                low, high = edges_of(index, gram)
                found = scan(documents, gram)
                assert max(0, int(high[0] - low[0])) == len(found)
                document, last = index.locate(np.arange(low[0], high[0]))
                assert sorted(zip(document.tolist(), last.tolist(), strict=True)) == found


def test_successors_are_those_of_a_scan_with_their_ranges(method):
    for documents in corpora():
        index = method.FMIndex(documents)
        grams = [gram for gram in grams_of(documents) if scan(documents, gram)]
        low, high = (np.concatenate(some) for some in zip(*(edges_of(index, gram) for gram in grams), strict=True))
        owner, symbol, lows, highs = index.successors(low, high)
        for number, gram in enumerate(grams):
            plain = Counter((documents[d] + [1])[last + 1] for d, last in scan(documents, gram))
            mine = owner == number
            assert dict(zip(symbol[mine].tolist(), (highs - lows)[mine].tolist(), strict=True)) == dict(plain)
            for one, start, end in zip(symbol[mine], lows[mine], highs[mine], strict=True):
                if one > 1:
                    assert (start, end) == tuple(int(edge[0]) for edge in edges_of(index, (*gram, one)))


def test_the_index_holds_the_documents_themselves(method):
    for documents in corpora():
        index = method.FMIndex(documents)
        order = np.arange(len(documents))[::-1]
        assert index.texts(order) == [documents[number] for number in order]
        assert index.texts(order[:0]) == []


def test_ngrams_do_not_reach_from_one_document_into_the_next(method):
    index = method.FMIndex([[2, 3], [4, 2]])
    assert [int(high[0] - low[0]) for low, high in (edges_of(index, g) for g in ((3, 4), (2, 2), (2, 3)))] == [0, 0, 1]


def test_documents_begin_behind_a_separator(method):
    documents = [[7, 3, 2], [5, 5, 2], [7, 2]]
    index = method.FMIndex(documents)
    low, high = np.array([index.first[1]], int), np.array([index.first[2]], int)
    _, symbol, lows, highs = index.successors(low, high)
    begins = {int(s): int(b - a) for s, a, b in zip(symbol, lows, highs, strict=True) if s > 1}
    assert begins == {5: 1, 7: 2}


def test_an_empty_corpus_is_told_in_one_sentence(method):
    with pytest.raises(InputError, match="holds no document"):
        method.FMIndex([])


# --- the search -------------------------------------------------------------------------------------------------------


class Told:
    """A speaker whose log-probabilities are a fixed function of the n-gram so far; it keeps the n-grams itself."""

    def __init__(self, queries, vocabulary):
        self.vocabulary, self.grams = vocabulary, [(query,) for query in range(queries)]

    def after(self, gram):
        logits = generator(0, "told", repr(tuple(gram))).normal(0, 2, self.vocabulary)
        return logits - np.log(np.exp(logits).sum())

    def start(self):
        return np.stack([self.after(gram) for gram in self.grams])

    def advance(self, parents, symbols):
        self.grams = [(*self.grams[p], int(s)) for p, s in zip(parents, symbols, strict=True)]
        return self.start()


def options_of(index):
    return lambda query, grams, low, high, told: index.successors(low, high)


def plain_search(documents, queries, vocabulary, beam, length, stop):
    """Beam search in plain loops: (query, n-gram) -> log P, of all that come into sight."""
    told, found = Told(queries, vocabulary), {}
    for query in range(queries):
        live = [((), 0.0)]
        for _ in range(length):
            some = [
                ((*gram, symbol), score + told.after((query, *gram))[symbol - 2])
                for gram, score in live
                for symbol in range(2, vocabulary + 2)
                if scan(documents, (*gram, symbol))
            ]
            some = sorted(some, key=lambda one: -one[1])[: 2 * beam]
            found |= {(query, gram): score for gram, score in some}
            live = [one for one in some[:beam] if one[0][-1] != stop]
    return found


def test_the_search_is_that_of_plain_loops(method):
    documents = [[2, 3, 4, 5, 2, 3], [4, 4, 2, 6, 5], [7, 2, 3, 3], [7, 2, 3, 3]]
    index = method.FMIndex(documents)
    for beam, length, stop in ((1, 3, -1), (2, 4, -1), (3, 9, 3), (50, 4, -1)):
        speaker = Told(3, 6)
        edges = (0, index.size)
        query, grams, score, low, high = method.explore(
            speaker, speaker.start(), options_of(index), edges, beam, length, stop
        )
        assert grams.shape[1] == length
        keys = [(q, tuple(s for s in gram if s)) for q, gram in zip(query.tolist(), grams.tolist(), strict=True)]
        plain = plain_search(documents, 3, 6, beam, length, stop)
        assert len(keys) == len(set(keys))
        assert dict(zip(keys, score.tolist(), strict=True)) == pytest.approx(plain)
        assert [int(h - b) for b, h in zip(low, high, strict=True)] == [len(scan(documents, gram)) for _, gram in keys]


def test_a_wide_search_finds_every_ngram_of_the_corpus_with_its_probability(method):
    documents = [[2, 3, 4], [3, 3]]
    index, speaker = method.FMIndex(documents), Told(1, 3)
    _, grams, score, _, _ = method.explore(speaker, speaker.start(), options_of(index), (0, index.size), 99, 3)
    keys = {tuple(s for s in gram if s): value for gram, value in zip(grams.tolist(), score.tolist(), strict=True)}
    assert set(keys) == {(2,), (3,), (4,), (2, 3), (3, 4), (3, 3), (2, 3, 4)}
    plain = Told(1, 3)
    exact = plain.after((0,))[0] + plain.after((0, 2))[1] + plain.after((0, 2, 3))[2]
    assert keys[2, 3, 4] == pytest.approx(exact)


# --- the scores -------------------------------------------------------------------------------------------------------


def test_a_weight_is_the_gain_in_log_odds_by_hand(method):
    found = method.weight(np.log([0.5, 0.01, 0.25]), np.array([10, 10, 25]), 100)
    np.testing.assert_allclose(found, [np.log(9), 0, 0], atol=1e-9)


def test_a_weight_is_finite_at_its_limits_and_falls_with_the_count(method):
    found = method.weight(np.array([0.0, -1e-300, -700.0, -1.0]), np.array([1, 99, 1, 99]), 100)
    assert np.isfinite(found).all()
    assert found[0] > found[1] > 0 == found[2] == found[3]
    assert (np.diff(method.weight(np.full(5, -1.0), np.array([1, 2, 5, 20, 30]), 100)) < 0).all()


def test_the_score_of_a_document_by_hand(method):
    tokens = [2, 3, 4, 2, 3, 5]
    unigrams = np.array([0, 0, 0.5, 0.25, 0.125, 1.0])
    keys = [(3.0, (2, 3), [0, 3]), (2.0, (3, 4), [1]), (1.5, (5,), [5]), (1.0, (3, 5), [4])]
    # (2, 3) is taken in both places; (3, 4) and (3, 5) lie on it; 5 is new; of the tokens 4 is left
    score, accepted = method.intersective(keys, tokens, unigrams, 2.0, 0.8)
    assert score == pytest.approx(9 + 2.25 + 0.125)
    assert [gram for _, gram, _ in accepted] == [(2, 3), (5,)]
    # the second place of (4, 2) is free, and 4 is all that is new in it: 1 - 0.8 + 0.8 / 2
    keys = [(3.0, (2, 3), [0]), (2.0, (3, 4), [1]), (1.0, (4, 2), [2])]
    score, _ = method.intersective(keys, tokens, unigrams, 2.0, 0.8)
    assert score == pytest.approx(9 + 0.6 + 1.0 + 0.2 * 0.25)  # left are 3, already counted, and 5


def plain_score(keys, tokens, unigrams, alpha, beta):
    """(3) in plain loops over places."""
    taken, covered, score, accepted = set(), set(), 0.0, []

    def cover(some):
        return 1 - beta + beta * len([one for one in some if one not in covered]) / len(some)

    for value, gram, starts in keys:
        places = [set(range(start, start + len(gram))) for start in starts]
        if any(not (place & taken) for place in places):
            score += value**alpha * cover(set(gram))
            covered |= set(gram)
            taken |= set().union(*places)
            accepted.append(gram)
    left = {token for place, token in enumerate(tokens) if place not in taken}
    return score + sum(unigrams[token] * cover({token}) for token in left), accepted


def drawn_keys(seed):
    rng = generator(seed, "keys")
    tokens = rng.integers(2, 6, 30).tolist()
    grams = {tuple(tokens[i : i + n]) for i, n in zip(rng.integers(0, 26, 12), rng.integers(1, 5, 12), strict=True)}
    weights = np.sort(rng.random(len(grams)) * 5)[::-1]
    starts = [[last - len(gram) + 1 for _, last in scan([tokens], gram)] for gram in sorted(grams)]
    return list(zip(weights.tolist(), sorted(grams), starts, strict=True)), tokens, rng.random(6)


def test_the_score_of_a_document_is_that_of_plain_loops(method):
    for seed in range(40):
        keys, tokens, unigrams = drawn_keys(seed)
        for alpha, beta in ((2.0, 0.8), (1.0, 0.0), (0.5, 1.0)):
            score, accepted = method.intersective(keys, tokens, unigrams, alpha, beta)
            plain, taken = plain_score(keys, tokens, unigrams, alpha, beta)
            assert score == pytest.approx(plain)
            assert [gram for _, gram, _ in accepted] == taken


def test_a_document_without_keys_has_its_tokens_alone_and_one_key_without_tokens_its_power(method):
    tokens, unigrams = [2, 2, 3], np.array([0, 0, 1.5, 0.25])
    assert method.intersective([], tokens, unigrams, 2.0, 0.8)[0] == pytest.approx(1.75)
    assert method.intersective([(3.0, (2, 3), [1])], tokens, 0 * unigrams, 3.0, 0.8)[0] == pytest.approx(27)


def test_words_that_no_key_touches_change_no_score(method):
    for seed in range(10):
        keys, tokens, unigrams = drawn_keys(seed)
        unigrams = np.r_[unigrams, 0.0]
        once = method.intersective(keys, tokens, unigrams, 2.0, 0.8)[0]
        assert method.intersective(keys, [*tokens, 6, 6], unigrams, 2.0, 0.8)[0] == pytest.approx(once)


# --- the whole notebook on awkward data -------------------------------------------------------------------------------


def awkward_with_a_strange_query(folder):
    """A small BEIR folder with a text of one word, and a query of which nothing stands in any."""
    awkward(folder, 12, "matrix")
    asked = (folder / "queries.jsonl").read_text().splitlines(keepends=True)
    asked[90] = json.dumps({"_id": "q090", "text": "日本 ☃"}) + "\n"
    (folder / "queries.jsonl").write_text("".join(asked))


def run(folder, *more):
    return on_folder(NOTEBOOK, folder, *more)


def test_a_corpus_smaller_than_k_with_repeated_texts_and_queries_without_an_answer_runs(tmp_path):
    awkward_with_a_strange_query(tmp_path)
    status, said = run(tmp_path, "queries=24")
    assert status == 0, said
    table = pd.read_csv(tmp_path / "out/table.csv").set_index("arm")
    assert {"SEAL", "LM+FM", "LM", "unconstrained", "titles only", "BM25"} <= set(table.index)
    caption = (tmp_path / "out/table.md").read_text().splitlines()[0]
    assert caption.startswith("60 documents, 24 queries")


def test_an_empty_corpus_and_a_set_without_training_queries_are_told_in_one_sentence(tmp_path):
    awkward_with_a_strange_query(tmp_path)
    told_without_queries_or_documents(run, tmp_path, "train")


MUTATIONS = [
    ("np.diff(text[order]) > 0", "np.diff(text[order]) > 1"),
    ("np.where(new[rows], rows, 0)", "np.where(new[rows], 0, rows)"),
    ("rank[np.minimum(starts + known, n - 1)] + 1, 0)", "rank[np.minimum(starts + known, n - 1)] + 1, n)"),
    ("rank[starts] * (n + 1) + behind", "rank[starts] + behind"),
    ("known *= 2", "known *= 3"),
    ("np.cumsum(np.bitwise_count(self.words[:-1]))", "np.bitwise_count(self.words[:-1])"),
    ("((np.uint64(1) << shift) - np.uint64(1))", "(np.uint64(1) << shift)"),
    ("len(one) + 1 for one in documents", "len(one) for one in documents"),
    ("((1,), one[::-1])", "((1,), one)"),
    ("np.argsort(order)[self.starts[1:]]", "order[self.starts[1:]]"),
    ("np.argsort(order)[self.starts[1:]]", "np.argsort(order)[self.starts[:-1]]"),
    ("text[order - 1]", "text[order]"),
    ("np.r_[last[~ones], last[ones]]", "np.r_[last[ones], last[~ones]]"),
    ("self.first[last[heads]].astype(np.int64) - heads", "self.first[last[heads]].astype(np.int64) + heads"),
    (
        "np.where(symbols >> digit & 1, zeros + ones, edges - ones)",
        "np.where(symbols >> digit & 1, ones, edges - ones)",
    ),
    (
        "np.where(symbols >> digit & 1, zeros + ones, edges - ones)",
        "np.where(symbols >> digit & 1, zeros + ones, ones)",
    ),
    ("return edges + self.shift[symbols]", "return edges"),
    ("kept = edges[0] < edges[1]", "kept = edges[0] <= edges[1]"),
    ("np.r_[2 * symbol, 2 * symbol + 1]", "np.r_[2 * symbol + 1, 2 * symbol]"),
    ("*(edges + self.shift[symbol])", "*edges"),
    ("2 * symbol + bit\n", "symbol + bit\n"),
    ("self.samples[before[known]] + walked", "self.samples[before[known]]"),
    ('found, side="right") - 1', 'found, side="right")'),
    ("self.starts[document + 1] - 1 - found", "self.starts[document + 1] - found"),
    ("self.starts[document + 1] - 1 - found", "found - self.starts[document]"),
    ("(some[symbols > 1] for some", "(some[symbols > 0] for some"),
    ("np.flatnonzero(symbol > 1)  #", "np.flatnonzero(symbol > 0)  #"),
    ("score[parent] + told[parent, symbol - 2]", "told[parent, symbol - 2]"),
    ("told[parent, symbol - 2]", "told[parent, symbol - 3]"),
    ("-value[real], query", "value[real], query"),
    ("place < 2 * beam]\n", "place < beam]\n"),
    ("(place < beam) & (symbol[order] != stop)", "(place < beam)"),
    ("(place < beam) & (symbol[order] != stop)", "(symbol[order] != stop)"),
    ("speaker.advance(parent[order][on], grams[:, -1])", "speaker.advance(parent[order][: on.sum()], grams[:, -1])"),
    ("np.maximum(0, log_p", "np.maximum(-99, log_p"),
    ("- np.log1p(-np.exp(log_p))", "+ np.log1p(-np.exp(log_p))"),
    ("- np.log(prior)", "+ np.log(prior)"),
    ("+ np.log1p(-prior)", "- np.log1p(-prior)"),
    ("log_p = np.minimum(log_p, -1e-9)", "pass"),
    ("prior = count / total", "prior = total / count"),
    ("if any(not any(taken", "if all(not any(taken"),
    ("if any(not any(taken", "if True or any(not any(taken"),
    ("heavy**alpha", "heavy"),
    ("len(set(gram) - covered) / len(set(gram))", "len(set(gram) - covered) / len(gram)"),
    ("len(set(gram) - covered)", "len(set(gram))"),
    ("covered |= set(gram)", "pass"),
    ('taken[start : start + len(gram)] = b"1" * len(gram)', "pass"),
    ("sorted({token for token, one in zip(tokens, taken, strict=True) if not one})", "sorted(set(tokens))"),
    (
        "sorted({token for token, one in zip(tokens, taken, strict=True) if not one})",
        "[token for token, one in zip(tokens, taken, strict=True) if not one]",
    ),
    ("1 - beta * (token in covered)", "1 - (token in covered)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
