"""Class means as prototypes, the method that the template shows."""

import numpy as np
import pytest

from finegrain.seeding import generator

NOTEBOOK = "template"


def toy(classes=4, shots=3, width=6):
    """Unit vectors around one direction a class, labels that are not 0, 1, 2, ..., and the classes."""
    draw = generator(0, "toy")
    names = np.array([7, 2, 9, 4])[:classes]
    labels = np.repeat(names, shots)
    vectors = np.repeat(draw.normal(size=(classes, width)), shots, axis=0) + draw.normal(size=(len(labels), width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels, np.sort(names)


def test_the_whole_is_the_most_similar_mean_in_a_plain_loop(method):
    support, labels, classes = toy()
    queries = generator(1, "queries").normal(size=(40, support.shape[1]))
    expected = []
    for query in queries:
        similar = {}
        for c in classes:
            mean = sum(v for v, label in zip(support, labels, strict=True) if label == c) / (labels == c).sum()
            similar[c] = query @ mean / np.sqrt(mean @ mean)
        expected.append(max(similar, key=similar.get))
    found = method.classify(queries, method.prototypes(support, labels, classes), classes)
    assert found.tolist() == expected


def test_by_hand(method):
    support = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    found = method.prototypes(support, np.array([0, 0, 1]), np.array([0, 1]))
    np.testing.assert_allclose(found, [[np.sqrt(0.5), np.sqrt(0.5)], [-1, 0]])


def test_the_order_of_the_examples_does_not_count(method):
    support, labels, classes = toy()
    order = generator(0, "order").permutation(len(labels))
    np.testing.assert_allclose(
        method.prototypes(support[order], labels[order], classes), method.prototypes(support, labels, classes)
    )


def test_with_one_example_each_it_is_the_nearest_example(method):
    support, labels, classes = toy(shots=1)
    queries = generator(2, "queries").normal(size=(20, support.shape[1]))
    found = method.classify(queries, method.prototypes(support, labels, classes), classes)
    assert found.tolist() == labels[np.argmax(queries @ support.T, axis=1)].tolist()


MUTATIONS = [
    (" / np.linalg.norm(means, axis=1, keepdims=True)", ""),
    ("np.linalg.norm(means, axis=1, keepdims=True)", "np.linalg.norm(means, axis=0, keepdims=True)"),
    ("labels == c", "labels != c"),
    ("mean(axis=0)", "max(axis=0)"),
    ("np.argmax", "np.argmin"),
    ("classes[np.argmax(queries @ prototypes.T, axis=1)]", "np.argmax(queries @ prototypes.T, axis=1)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
