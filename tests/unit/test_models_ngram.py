"""Kneser-Ney n-grams against the textbook's formula in plain loops."""

from collections import Counter

import numpy as np
import pytest

from finegrain.models.ngram import KneserNey
from finegrain.seeding import generator

V = 6
ROWS = generator(0, "n-grams").integers(0, V - 1, (12, 9))  # token 5 never occurs


def by_loops(rows, order, context, word):
    """p(word | context) by the definition."""
    grams = Counter(tuple(row[i : i + order]) for row in rows.tolist() for i in range(len(row) - order + 1))
    tables = [grams]
    for _ in range(order - 1):
        tables.append(Counter(gram[1:] for gram in tables[-1]))
    p = 1 / V
    for k, table in enumerate(reversed(tables), 1):
        once, twice = (sum(count == n for count in table.values()) for n in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        seen = {gram: count for gram, count in table.items() if gram[:-1] == tuple(context[len(context) - k + 1 :])}
        if len(context) >= k - 1 and seen:
            total = sum(seen.values())
            count = table.get((*context[len(context) - k + 1 :], word), 0)
            p = max(count - discount, 0) / total + discount * len(seen) / total * p
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_equal_the_definition(order):
    held_out = generator(1, "n-grams").integers(0, V, (4, 6))
    found = np.exp(KneserNey(ROWS, order, V).log_probabilities(held_out))
    expected = [
        [by_loops(ROWS, order, row[max(0, i - order + 1) : i], row[i]) for i in range(6)] for row in held_out.tolist()
    ]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_of_all_words_add_up_to_one_also_after_unseen_contexts(order):
    model = KneserNey(ROWS, order, V)
    contexts = [(0, 1), (5, 5), (3, 5), (4, 2)]
    rows = np.array([[*context, word] for context in contexts for word in range(V)])
    sums = np.exp(model.log_probabilities(rows)[:, 2]).reshape(len(contexts), V).sum(1)
    np.testing.assert_allclose(sums, 1)


def test_guesses_are_the_most_counted_continuation_of_the_longest_context_seen():
    rows = np.array([[1, 2, 3, 1, 2, 4, 1, 2, 4, 0, 3]])
    model = KneserNey(rows, order=3, vocabulary=V)
    assert model.guesses(np.array([[1, 2, 0]]))[0, 2] == 4  # after 1 2: 4 twice, 3 once
    assert model.guesses(np.array([[5, 3, 0]]))[0, 2] == 1  # 5 3 is unseen; after 3: 1
    assert model.guesses(np.array([[5, 5, 0]]))[0, 2] == model.guesses(np.array([[0]]))[0, 0]


def test_an_order_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="order"):
        KneserNey(ROWS, 5, V)
