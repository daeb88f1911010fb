"""The bit-packed, compiled machine is the plain loop over automata, to the bit; its rules say what its clauses do."""

import numba
import numpy as np
import pytest
from scipy import sparse

from finegrain.seeding import generator

NOTEBOOK = "text_classification/tsetlin"
WORD = 2**64 - 1


def texts(count, features, share=0.3):
    return generator(0, "texts").random((count, features)) < share


# --- the reference: one automaton, one literal and one random bit at a time -------------------------------------------


class Plain:
    """The machine of the paper with states 1 to 2N as whole numbers, and its coins as fractions written bit by bit."""

    def __init__(self, classes, features, *, clauses, T, s, boost, bits, weighted=False, budget=0, rng):
        self.half = -(-features // 64)
        self.features, self.T, self.p, self.N = features, T, min(int(2**32 / s), 2**32 - 1), 2 ** (bits - 1)
        self.boost, self.weighted, self.budget, self.rng = boost, weighted, budget, rng
        self.state = [[[self.N] * (2 * features) for _ in range(clauses)] for _ in range(classes)]
        self.weight = [[1] * clauses for _ in range(classes)]
        self.streams = [int(word) for word in rng.integers(1, 2**64, 2 * self.half, dtype=np.uint64)]
        self.chance = int(rng.integers(1, 2**64, 1, dtype=np.uint64)[0])

    @staticmethod
    def next_word(word):
        word ^= (word << 13) & WORD
        word ^= word >> 7
        return word ^ ((word << 17) & WORD)

    def coins(self):
        """For each literal whether its random number, written in bits, is below p."""
        numbers, bits = [0] * (64 * len(self.streams)), 0
        while bits < 32 and (bits == 0 or any(number == self.p >> (32 - bits) for number in numbers)):
            self.streams = [self.next_word(word) for word in self.streams]
            bits += 1
            for lane in range(len(numbers)):
                numbers[lane] = 2 * numbers[lane] + (self.streams[lane // 64] >> (lane % 64) & 1)
        heads = [number < self.p >> (32 - bits) for number in numbers]
        return heads[: self.features] + heads[64 * self.half : 64 * self.half + self.features]

    def included(self, c, j):
        return [k for k, state in enumerate(self.state[c][j]) if state > self.N]

    def step(self, c, j, k, by):
        self.state[c][j][k] = min(max(self.state[c][j][k] + by, 1), 2 * self.N)

    def epoch(self, x, labels):
        shifts = self.rng.integers(1, len(self.state), len(labels))
        for n in self.rng.permutation(len(labels)):
            literals = [bool(bit) for bit in x[n]] + [not bit for bit in x[n]]
            self.update(int(labels[n]), literals, target=1)
            self.update(int(labels[n] + shifts[n]) % len(self.state), literals, target=0)

    def update(self, c, literals, target):
        true = [all(literals[k] for k in self.included(c, j)) for j in range(len(self.state[c]))]
        v = sum((-1) ** j * self.weight[c][j] for j in range(len(true)) if true[j])
        v = min(max(v, -self.T), self.T)
        for j in range(len(true)):
            self.chance = self.next_word(self.chance)
            if (self.chance >> 11) / 2**53 < (self.T + (1 - 2 * target) * v) / (2 * self.T):
                if (j % 2 == 0) == (target == 1):
                    self.type_one(c, j, literals, true[j])
                elif true[j]:
                    self.type_two(c, j, literals)

    def type_one(self, c, j, literals, true):
        coins = self.coins()
        self.weight[c][j] += self.weighted and true
        fits = true and not (self.budget and len(self.included(c, j)) > self.budget)
        for k in range(len(literals)):
            if fits and literals[k]:
                self.step(c, j, k, int(self.boost or not coins[k]))
            elif coins[k]:
                self.step(c, j, k, -1)

    def type_two(self, c, j, literals):
        if self.weighted and self.weight[c][j] > 1:
            self.weight[c][j] -= 1
        for k in set(range(len(literals))) - set(self.included(c, j)):
            self.step(c, j, k, int(not literals[k]))

    def votes(self, x):
        found = np.zeros((len(x), len(self.state)), dtype=int)
        for n, c in np.ndindex(found.shape):
            literals = [*x[n], *~x[n]]
            for j in range(len(self.state[c])):
                inside = self.included(c, j)
                if inside and all(literals[k] for k in inside):
                    found[n, c] += (-1) ** j * self.weight[c][j]
        return found


def states_of(machine, features):
    """(C, m, 2F) states 1 to 2N of a packed machine."""
    half = machine.states.shape[-1] // 2
    lanes = [k if k < features else 64 * half + k - features for k in range(2 * features)]
    found = np.zeros((*machine.states.shape[:2], 2 * features), dtype=int)
    for c, j, b in np.ndindex(machine.states.shape[:3]):
        words = [int(word) for word in machine.states[c, j, b]]
        found[c, j] += [(words[lane // 64] >> lane % 64 & 1) << b for lane in lanes]
    return found + 1


SETTINGS = {
    "as in the repository": {"T": 4, "s": 5.0, "boost": True, "bits": 8},
    "rewards by chance": {"T": 3, "s": 1.4, "boost": False, "bits": 3},
    "weighted, narrow": {"T": 2, "s": 2.0, "boost": True, "bits": 2, "weighted": True},
    "a budget": {"T": 6, "s": 3.0, "boost": True, "bits": 3, "budget": 3},
}


def test_one_text_by_hand(method):
    """T = 1. Class 0 votes -1 for the text and shall say yes, class 1 votes +1 and shall say no: all get feedback."""
    literals = method.packed(np.array([[True, False]]))
    machine = method.TsetlinMachine(2, 2, clauses=2, T=1, s=1.0, boost=True, bits=2, rng=generator(0, "by hand"))
    for c, j in ((0, 0), (1, 1)):  # a clause that demands the absent term: literals (a, b, not a, not b) at 2, 3, 2, 2
        machine.states[c, j, :, 0] = [1, 2]
        machine.include[c, j, 0] = 2
    assert machine.votes(literals).tolist() == [[0, 0]]  # what is true is empty, and silent
    machine.epoch(literals, np.array([0]))
    assert states_of(machine, 2).tolist() == [
        [[1, 2, 1, 1], [2, 3, 3, 2]],  # type I, false: all down; type II, true: what the text lacks moves up
        [[2, 3, 3, 2], [1, 2, 1, 1]],  # the same with the signs changed
    ]


def test_a_step_moves_by_one_and_stays_at_an_end_by_hand(method):
    """Eight automata of 4 states, the first in the lowest bit: 1 2 3 4 move up, 1 2 3 4 move down."""
    up, down = np.array([0b0000_1111], np.uint64), np.array([0b1111_0000], np.uint64)
    states, include = np.array([[0b1010_1010], [0b1100_1100]], np.uint64), np.zeros(1, np.uint64)
    method.move(states, include, up, down)
    found = [1 + (int(states[0, 0]) >> k & 1) + 2 * (int(states[1, 0]) >> k & 1) for k in range(8)]
    assert found == [2, 3, 4, 4, 1, 1, 2, 3]
    assert include.tolist() == states[1].tolist() == [0b1000_1110]


def test_coins_fall_as_often_as_they_should_and_each_by_itself(method):
    heads, undecided = np.zeros(50, np.uint64), np.zeros(50, np.uint64)
    streams = generator(0, "streams").integers(1, 2**64, 50, dtype=np.uint64)
    thrown = []
    for _ in range(20):
        method.toss(heads, undecided, streams, int(2**32 / 5))
        thrown.append(np.unpackbits(heads.view(np.uint8)))
    thrown = np.array(thrown, dtype=float)
    assert abs(thrown.mean() - 0.2) < 4 * np.sqrt(0.16 / thrown.size)
    for other in (np.roll(thrown, 1, axis=0), np.roll(thrown, 1, axis=1), np.roll(thrown, 64, axis=1)):
        assert abs(np.corrcoef(thrown.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(thrown.size)


def test_words_give_the_bits_back_and_spare_ones_are_in_neither_half(method):
    for features in (3, 64, 70):
        x = texts(5, features)
        literals, opposite = method.packed(x)
        np.testing.assert_array_equal(method.unpacked(literals, features), np.hstack([x, ~x]))
        np.testing.assert_array_equal(method.unpacked(opposite, features), np.hstack([~x, x]))
        assert not (literals & opposite).any()
        assert np.bitwise_count(literals | opposite).sum() == 2 * 5 * features


def trained(method, x, labels, **changes):
    given = {"clauses": 10, "T": 4, "s": 2.0, "boost": True, "bits": 6} | changes
    literals = method.packed(x)
    machine = method.TsetlinMachine(labels.max() + 1, literals[0].shape[1], **given, rng=generator(3, "trained"))
    for _ in range(4):
        machine.epoch(literals, labels)
    return machine


def test_votes_do_not_depend_on_the_other_texts_and_negating_all_terms_mirrors_a_machine(method):
    x, labels = texts(20, 12), np.arange(20) % 2
    machine = trained(method, x, labels)
    votes = machine.votes(method.packed(x))
    np.testing.assert_array_equal(machine.votes(method.packed(x[::-3])), votes[::-3])
    machine.include = np.roll(machine.include, machine.include.shape[2] // 2, axis=2)
    np.testing.assert_array_equal(machine.votes(method.packed(~x)), votes)


def test_a_machine_that_has_learnt_nothing_is_silent(method):
    x = texts(4, 5)
    machine = method.TsetlinMachine(3, 2, clauses=4, T=2, s=2.0, boost=True, bits=8, rng=generator(0, "new"))
    assert states_of(machine, 5).min() == states_of(machine, 5).max() == 128
    assert machine.votes(method.packed(x)).tolist() == [[0, 0, 0]] * 4


def test_misses_count_what_a_text_lacks(method):
    x = texts(9, 6)
    rules = generator(0, "rules").random((7, 12)) < 0.3
    literals = np.hstack([x, ~x])
    expected = [[sum(rule[k] and not text[k] for k in range(12)) for text in literals] for rule in rules]
    assert method.misses(rules, sparse.csr_matrix(x.astype(np.int32))).tolist() == expected


def test_pruning_takes_idle_negations_rare_terms_first_and_changes_no_coverage(method):
    x = texts(30, 8, 0.4)
    rules = generator(0, "rules").random((12, 16)) < 0.4
    table = sparse.csr_matrix(x.astype(np.int32))
    literals = np.hstack([x, ~x])

    def covers(rule):
        return literals[:, rule].all(axis=1)

    for rule, short in zip(rules, method.pruned(rules, table), strict=True):
        expected = rule.copy()
        for term in np.argsort(x.sum(axis=0), kind="stable"):
            shorter = expected.copy()
            shorter[8 + term] = False
            if (covers(shorter) == covers(rule)).all():
                expected = shorter
        np.testing.assert_array_equal(short, expected)
        np.testing.assert_array_equal(covers(short), covers(rule))


def test_it_learns_xor(method):
    x = texts(120, 3, 0.5)
    labels = (x[:, 0] ^ x[:, 1]).astype(int)
    machine = trained(method, x, labels, s=3.0)
    assert (machine.votes(method.packed(x)).argmax(axis=1) == labels).mean() > 0.95


def test_the_machine_is_the_plain_loop_to_the_bit(method):
    x, labels, classes, features = texts(12, 70), np.arange(12) % 3, 3, 70
    literals = method.packed(x)
    for settings in SETTINGS.values():
        machine = method.TsetlinMachine(
            classes, literals[0].shape[1], clauses=6, **settings, rng=generator(1, "machine")
        )
        plain = Plain(classes, features, clauses=6, **settings, rng=generator(1, "machine"))
        for _ in range(3):
            machine.epoch(literals, labels)
            plain.epoch(x, labels)
        assert machine.include.any()
        assert settings.get("weighted", False) == bool((machine.weights > 1).any())
        np.testing.assert_array_equal(states_of(machine, features), plain.state)
        np.testing.assert_array_equal(machine.weights, plain.weight)
        np.testing.assert_array_equal(machine.votes(literals), plain.votes(x))
        assert [int(word) for word in machine.streams] == plain.streams


MUTATIONS = [
    ("-x.shape[1] % 64", "-x.shape[1] % 8 * 8"),
    ("halves[::-1]", "halves"),
    ("word << np.uint64(13)", "word << np.uint64(12)"),
    ("of_p & ~streams[k]", "of_p & streams[k]"),
    ("undecided[k] &= ~(of_p ^ streams[k])", "undecided[k] &= of_p ^ streams[k]"),
    ("up[k] &= old", "up[k] &= ~old"),
    ("| up[k]) & ~down[k]", ") & ~down[k]"),
    ("| up[k]) & ~down[k]", "| up[k])"),
    ("include[k] = states[-1, k]", "include[k] = states[0, k]"),
    ("blocked |= include[j, k] & lacks[k]", "blocked |= include[j, k] & ~lacks[k]"),
    (" * self.include.any(axis=2)", ""),
    ("(T - v if target else T + v)", "(T + v if target else T - v)"),
    ("/ (2 * T)", "/ T"),
    ("-T), T)", "-T), 0)"),
    ("for target in (1, 0)", "for target in (0, 1)"),
    ("if j % 2 != target:", "if j % 2 == target:"),
    ("has[k] if boost else", "has[k] if not boost else"),
    ("has[k] & ~coins[k]", "has[k] & coins[k]"),
    ("lacks[k] & coins[k] if grows", "lacks[k] if grows"),
    ("up[k], down[k] = lacks[k], NONE", "up[k], down[k] = has[k], NONE"),
    ("budget == 0 or size(include[c, j]) <= budget", "True"),
    ("weighted and weights[c, j] > 1", "weighted"),
    ("weighted and true[j]", "weighted"),
    ("self.states[:, :, -1] = NONE", "self.states[:, :, :-1] = NONE"),
    ("rng.integers(1, len(self.include)", "rng.integers(0, len(self.include)"),
    ("(demanded - forbidden)", "(demanded + forbidden)"),
    ("> 1).all(axis=1)", "> 0).all(axis=1)"),
    ("np.argsort(columns.getnnz(axis=0)", "np.argsort(-columns.getnnz(axis=0)"),
    ("lacking[np.ix_(idle, holders)] -= 1", "pass"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives, monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)  # compiling each would take seconds, and the cases are small
    assert not survives(old, new)
