"""The loop, the stopping rule and each strategy, against plain loops and against scikit-activeml."""

import numpy as np
import pandas as pd
import pytest
from skactiveml import pool as theirs
from skactiveml.base import SkactivemlClassifier
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from finegrain import InputError
from finegrain.run import notebooks
from finegrain.seeding import generator

NOTEBOOK = "text_classification/active_learning"

N, D, C, T, Q = 60, 5, 4, 7, 6
KNOWN = np.array([41, 3, 17, 30, 8, 55, 22, 11, 36, 50, 1, 28])
FREE = np.setdiff1d(np.arange(N), KNOWN)
POINTWISE = ["least_confidence", "breaking_ties", "entropy", "bald", "contrastive", "gradient_length"]
SETTLED = [*POINTWISE, "core_set", "discriminative"]  # without luck
EVERY = [*SETTLED, "random", "k_means", "lightweight", "prob_cover", "badge"]


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


X = generator(0, "pool").normal(size=(N, D)) * generator(0, "length").uniform(0.5, 2, (N, 1))
P = softmax(2 * generator(0, "chances").normal(size=(N, C)))
VOTES = softmax(2 * generator(0, "votes").normal(size=(T, N, C)))
Y = np.where(np.isin(np.arange(N), KNOWN), generator(0, "labels").integers(C, size=N), np.nan)


def state_of(method, **changes):
    about = {"x": X, "known": KNOWN, "p": P, "votes": lambda: VOTES, "rng": generator(0, "luck")}
    return method.State(**about | changes)


class Told(SkactivemlClassifier):
    """A classifier of scikit-activeml that says what it is told for the rows of X."""

    def __init__(self, table=None, classes=None, missing_label=np.nan, cost_matrix=None, random_state=None):
        super().__init__(classes, missing_label, cost_matrix, random_state)
        self.table = table

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.arange(C)
        self.cost_matrix_ = 1 - np.eye(C)
        self._le = None
        return self

    def predict_proba(self, asked):
        rows = np.array([np.flatnonzero((one == X).all(axis=1))[0] for one in asked])
        return self.table[rows]


def told(table):
    return Told(table=table, classes=range(C)).fit(None, None)


class Watched:
    """A generator that remembers what its `choice` was given."""

    def __init__(self, rng):
        self.rng, self.given = rng, []

    def choice(self, rows, *arguments, **named):
        self.given.append((rows, named))
        return self.rng.choice(rows, *arguments, **named)


# --- prediction-based and model-based ---------------------------------------------------------------------------------


def best_first(scores):
    """Unlabelled rows by score, in a plain loop; `scores`: a number for each unlabelled row."""
    return sorted(FREE, key=lambda row: -scores[row])[:Q]


def answers_of_scikit_activeml():
    """What scikit-activeml asks about, given the same probabilities, votes and vectors."""
    about = {"least_confidence": "least_confident", "breaking_ties": "margin_sampling", "entropy": "entropy"}
    found = {
        ours: theirs.UncertaintySampling(method=name, random_state=0).query(X, Y, told(P), fit_clf=False, batch_size=Q)
        for ours, name in about.items()
    }
    committee = [told(votes) for votes in VOTES]
    bald = theirs.GreedyBALD(random_state=0)
    found["bald"] = bald.query(X, Y, committee, fit_ensemble=False, batch_size=Q)
    near = theirs.ContrastiveAL(nearest_neighbors_dict={"n_neighbors": 10}, random_state=0)
    found["contrastive"] = near.query(X, Y, told(P.copy()), fit_clf=False, batch_size=Q)
    found["core_set"] = theirs.CoreSet(random_state=0).query(X, Y, batch_size=Q)
    return {name: [int(row) for row in rows] for name, rows in found.items()}


THEIRS = answers_of_scikit_activeml()


def test_the_same_scores_lead_to_the_queries_of_scikit_activeml(method):
    for name, rows in THEIRS.items():
        assert getattr(method, name)(state_of(method), Q).tolist() == rows, name


def test_scores_by_hand(method):
    p = np.array([[0.5, 0.4, 0.1], [0.45, 0.3, 0.25], [0.9, 0.1, 0.0], [0.48, 0.48, 0.04], [1.0, 0.0, 0.0]])
    state = state_of(method, x=np.eye(5), known=np.array([4]), p=p)
    assert method.least_confidence(state, 4).tolist() == [1, 3, 0, 2]  # 0.55, 0.52, 0.5, 0.1
    assert method.breaking_ties(state, 4).tolist() == [3, 0, 1, 2]  # gaps 0, 0.1, 0.15, 0.8
    assert method.entropy(state, 4).tolist() == [1, 0, 3, 2]  # 1.07, 0.94, 0.83, 0.33
    np.testing.assert_allclose(method.entropy_of(np.array([[0.5, 0.5], [1, 0]])), [np.log(2), 0])


def test_gradient_length_is_the_expected_norm_of_the_gradient_of_weights_and_bias(method):
    def length(i):
        gradients = [np.outer(P[i] - np.eye(C)[c], [*X[i], 1.0]) for c in range(C)]
        return sum(P[i, c] * np.linalg.norm(gradients[c]) for c in range(C))

    assert method.gradient_length(state_of(method), Q).tolist() == best_first({i: length(i) for i in FREE})


def test_the_bias_counts_in_the_gradient(method):
    p = np.array([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]])  # 0.707 x sqrt(0.01 + 1) is more than 0.255 x sqrt(1 + 1)
    state = state_of(method, x=np.array([[0.1], [1.0], [0.0]]), known=np.array([2]), p=p)
    assert method.gradient_length(state, 2).tolist() == [0, 1]


def test_contrastive_takes_all_labelled_texts_where_there_are_few(method):
    known = KNOWN[:3]

    def gap(i):
        return sum((P[j] * np.log(P[j] / P[i])).sum() for j in known)

    free = [i for i in range(N) if i not in known]
    found = method.contrastive(state_of(method, known=known), Q)
    assert found.tolist() == sorted(free, key=lambda i: -gap(i))[:Q]


def test_a_committee_that_agrees_is_asked_nothing_in_particular(method):
    same = np.repeat(P[None], T, axis=0)
    same[:, 45] = VOTES[:, 45]
    assert method.bald(state_of(method, votes=lambda: same), 1).tolist() == [45]


# --- data-based -------------------------------------------------------------------------------------------------------


def distance(a, b):
    return np.sqrt(((a - b) ** 2).sum())


def test_squared_distances(method):
    expected = [[distance(a, b) ** 2 for b in X[:4]] for a in X[:7]]
    np.testing.assert_allclose(method.squared_distances(X[:7], X[:4]), expected, atol=1e-12)


def test_core_set_halves_a_line(method):
    line = np.arange(9.0)[:, None]
    state = state_of(method, x=line, known=np.array([0]), p=np.ones((9, 1)))
    assert method.core_set(state, 3).tolist() == [8, 4, 2]
    assert method.core_set(state_of(method, x=0 * line, known=np.array([0]), p=None), 8).tolist() == list(range(1, 9))


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_k_means_takes_the_text_nearest_to_each_centre_and_none_twice(method):
    luck = int(generator(0, "luck").integers(2**31))
    centres = KMeans(Q, n_init=1, random_state=luck).fit(X[FREE]).cluster_centers_
    chosen = []
    for centre in centres:
        chosen.append(min((i for i in FREE if i not in chosen), key=lambda i, c=centre: distance(X[i], c)))
    assert method.k_means(state_of(method), Q).tolist() == chosen
    twins = np.repeat(np.eye(3), [20, 20, 20], axis=0) + 1e-9 * X[:, :3]
    assert len(set(method.k_means(state_of(method, x=twins), 40))) == 40


def test_the_lightweight_core_set_draws_half_evenly_and_half_by_distance(method):
    rng = Watched(generator(0, "luck"))
    found = method.lightweight(state_of(method, rng=rng), Q)
    ((rows, named),) = rng.given
    assert rows.tolist() == FREE.tolist()
    middle = sum(X[i] for i in FREE) / len(FREE)
    far = np.array([distance(X[i], middle) ** 2 for i in FREE])
    np.testing.assert_allclose(named["p"], 0.5 / len(FREE) + 0.5 * far / far.sum())
    assert len(set(found)) == Q


def largest_pure_radius(share):
    """The largest of all distances below which at least this share of the balls holds one cluster."""
    cluster = KMeans(C, n_init=1, random_state=0).fit_predict(X)
    far = np.array([[distance(a, b) for b in X] for a in X])
    pure = [r for r in np.unique(far) if np.mean([len(set(cluster[far[i] < r])) <= 1 for i in range(N)]) >= share]
    return max(pure), far


@pytest.mark.filterwarnings("ignore:The maximum purity")
def test_prob_cover_takes_what_covers_most_that_is_not_covered(method):
    radius, far = largest_pure_radius(0.8)
    ball = far < radius
    rng = generator(0, "luck")
    chosen, covered, gains = [], ball[KNOWN].any(axis=0), []
    for row in method.prob_cover(state_of(method, rng=rng), Q, purity=0.8):
        gain = {i: (ball[i] & ~covered).sum() for i in FREE if i not in chosen}
        assert gain[row] == max(gain.values())
        gains.append(int(gain[row]))
        chosen.append(row)
        covered |= ball[row]
    cover = theirs.ProbCover(n_classes=C, deltas=[radius - 1e-9], random_state=0)
    rows, utilities = cover.query(X, Y, batch_size=Q, return_utilities=True)
    assert gains == [int(u[row]) for u, row in zip(utilities, rows, strict=True)]
    assert gains[0] > gains[-1]


def test_prob_cover_is_random_where_all_is_covered(method):
    found = [method.prob_cover(state_of(method, rng=generator(seed, "luck")), 40, purity=0.5)[-10:] for seed in (0, 1)]
    assert set(found[0]) != set(found[1])
    assert len(set(method.prob_cover(state_of(method), 40, purity=0.5))) == 40


def test_discriminative_trains_again_between_its_parts(method):
    known = list(KNOWN)
    for part in (2, 2, 2):
        new = [i not in known for i in range(N)]
        model = LogisticRegression(C=10, max_iter=200).fit(X, new)
        sure = model.predict_proba(X)[:, 1]
        known += sorted((i for i in range(N) if i not in known), key=lambda i, s=sure: -s[i])[:part]
    assert method.discriminative(state_of(method), Q).tolist() == known[-Q:]
    few = method.discriminative(state_of(method), 2)
    assert len(set(few)) == 2


# --- hybrid -----------------------------------------------------------------------------------------------------------


def written_out(rng, q):
    """BADGE with the gradients in full."""
    error = np.array([P[i] - np.eye(C)[P[i].argmax()] for i in FREE])
    gradients = np.array([np.outer(e, X[i]).ravel() for e, i in zip(error, FREE, strict=True)])
    chosen = [int(np.linalg.norm(gradients, axis=1).argmax())]
    while len(chosen) < q:
        far = np.array([min(distance(g, gradients[c]) ** 2 for c in chosen) for g in gradients])
        far[chosen] = 0
        chosen.append(int(rng.choice(len(far), p=far / far.sum())))
    return FREE[chosen]


def test_badge_draws_as_if_the_gradients_were_written_out(method):
    for seed in range(4):
        found = method.badge(state_of(method, rng=generator(seed, "luck")), Q)
        assert found.tolist() == written_out(generator(seed, "luck"), Q).tolist()


def test_badge_begins_as_scikit_activeml_does(method):
    first = theirs.Badge(random_state=0).query(X, Y, told(P), fit_clf=False, batch_size=1)
    assert method.badge(state_of(method), 1).tolist() == list(first)


def test_badge_without_any_gradient_still_asks(method):
    sure = np.eye(C)[np.arange(N) % C]
    found = method.badge(state_of(method, p=sure), 20)
    assert len(set(found)) == 20
    assert not set(found) & set(KNOWN)
    for row in range(8):  # all gradients are the same one, and their distances are rounding
        same = state_of(method, p=np.repeat(P[[row]], N, axis=0), x=np.repeat(X[[row]], N, axis=0))
        assert len(set(method.badge(same, 40))) == 40


# --- all of them ------------------------------------------------------------------------------------------------------


def test_every_strategy_asks_about_so_many_different_texts_that_have_no_label(method):
    for name in EVERY:
        found = getattr(method, name)(state_of(method), Q)
        assert len(set(found.tolist())) == Q, name
        assert set(found.tolist()) <= set(FREE), name


def test_the_order_of_the_pool_does_not_count(method):
    order = generator(0, "order").permutation(N)
    moved = {"x": X[order], "p": P[order], "votes": lambda: VOTES[:, order], "known": np.argsort(order)[KNOWN]}
    for name in SETTLED:
        found = getattr(method, name)(state_of(method, **moved), Q)
        assert order[found].tolist() == getattr(method, name)(state_of(method), Q).tolist(), name


def test_ties_go_to_the_lower_row(method):
    flat = state_of(method, p=np.full((N, C), 1 / C), votes=lambda: np.full((T, N, C), 1 / C))
    for name in ("least_confidence", "breaking_ties", "entropy", "bald", "contrastive"):
        assert getattr(method, name)(flat, Q).tolist() == FREE[:Q].tolist(), name


def test_random_questions_are_even(method):
    rng = Watched(generator(0, "luck"))
    found = method.random(state_of(method, rng=rng), Q)
    assert rng.given[0][0].tolist() == FREE.tolist()
    assert "p" not in rng.given[0][1]
    assert len(set(found)) == Q


# --- the loop ---------------------------------------------------------------------------------------------------------


class Answers:
    """An oracle that remembers what it was asked."""

    def __init__(self):
        self.asked = set()

    def __getitem__(self, rows):
        self.asked |= set(rows.tolist())
        return 10 * rows


def test_all_steps_of_the_loop(method):
    seen, states, answers = [], [], Answers()
    said = [softmax(generator(r, "said").normal(size=(N, C))) for r in range(4)]

    def classifier(known, labels):
        seen.append((known.tolist(), labels.tolist()))
        return said[len(seen) - 1], np.full((2, C), len(seen)), X, lambda: VOTES

    def strategy(state, q):
        states.append(state)
        return np.setdiff1d(np.arange(N), state.known)[-q:]

    known, tests, kappas = method.learn(classifier, strategy, answers, [5, 2], 3, 3, "luck")
    expected = [5, 2, 57, 58, 59, 54, 55, 56, 51, 52, 53]
    assert known.tolist() == expected
    assert answers.asked == set(expected)
    assert [rows for rows, _ in seen] == [expected[: 2 + 3 * r] for r in range(4)]
    assert all(labels == [10 * row for row in rows] for rows, labels in seen)
    assert [len(state.known) for state in states] == [2, 5, 8]
    for state, p in zip(states, said, strict=False):
        assert state.p is p
        assert state.x is X
        assert state.rng == "luck"
        assert state.votes() is VOTES
    assert tests[:, 0, 0].tolist() == [1, 2, 3, 4]
    guesses = [p.argmax(axis=1) for p in said]
    for kappa, a, b in zip(kappas, guesses, guesses[1:], strict=False):
        agreed = np.mean(a == b)
        chance = sum(np.mean(a == c) * np.mean(b == c) for c in range(C))
        assert kappa == pytest.approx((agreed - chance) / (1 - chance))
    assert len(kappas) == 3


def test_answers_that_stay_the_same_agree_wholly(method):
    def classifier(known, labels):
        return np.eye(C)[np.zeros(N, int)], np.ones((2, C)), X, None

    _, _, kappas = method.learn(classifier, method.random, np.zeros(N, int), [0], 1, 2, generator(0, "luck"))
    assert kappas.tolist() == [1, 1]


def test_stopping_needs_three_rounds_that_agree_on_average(method):
    kappas = np.array([0.2, 1.0, 0.98, 0.985, 1.0, 1.0])
    assert method.stop_after(kappas) == 6  # means of three: 0.73, 0.988, 0.988, 0.995
    assert method.stop_after(kappas, 0.985) == 4
    assert method.stop_after(kappas, 0.5) == 3
    assert method.stop_after(kappas, 0.999) is None
    assert method.stop_after(kappas, 0.9, window=1) == 2


# --- data that users bring --------------------------------------------------------------------------------------------

WORDS = {"fruit": "apple pear plum quince", "metal": "iron zinc lead tin", "bird": "finch wren rook jay"}


def table(folder, fold, rows):
    """Write a fold of a data set as a table of texts and labels."""
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / f"{fold}.csv", index=False)


@pytest.fixture
def folder(tmp_path):
    """A data set of three classes, as a folder that the notebook can read."""
    for fold, each in (("train", 12), ("dev", 2), ("test", 3)):
        rows = [(words.split()[n % 4], c, n) for c, words in WORDS.items() for n in range(each)]
        table(tmp_path, fold, [(f"{word} {fold} number {n}", c) for word, c, n in rows])
    return tmp_path


def data_of(folder, **given):
    """The names that the notebook's data cells define, for a folder and parameters."""
    names = {"display": lambda _: None, "__name__": NOTEBOOK}
    changed = {"dataset": str(folder), "out": str(folder / "out"), "scale": "smoke"} | given
    for cell in notebooks.find(NOTEBOOK).cells:
        if "method" in cell.tags:
            return names
        if cell.kind == "code":
            exec(cell.source, names)
            if "parameters" in cell.tags:
                names |= changed
    raise AssertionError("the notebook has no method")


def refused(folder, words, **given):
    with pytest.raises(InputError, match=words):
        data_of(folder, **given)


def test_a_folder_becomes_problems(folder):
    names = data_of(folder)
    (problem,) = names["problems"](0, "tail", "test")
    assert len(problem.topics) == 3
    assert not set(problem.pool) & set(problem.test)
    assert len(problem.test) == 9


def test_one_class_only_is_refused(folder):
    for fold in ("train", "dev", "test"):
        table(folder, fold, [(f"{fold} text {i}", "fruit") for i in range(9)])
    refused(folder, "two are needed")


def test_a_class_without_examples_is_refused(folder):
    table(folder, "test", [("jay of the test", "bird"), ("tin of the test", "metal")])
    refused(folder, "'fruit' has no text in the fold test")


def test_a_label_that_training_does_not_know_is_refused(folder):
    with (folder / "test.csv").open("a") as file:
        file.write("a trout of the test,fish\n")
    refused(folder, "'fish' has no text in the fold train")


def test_a_text_without_a_word_is_refused(folder):
    with (folder / "test.csv").open("a") as file:
        file.write("?!,bird\n")
    refused(folder, "has no word")


def test_more_labels_than_texts_are_refused(folder):
    names = data_of(folder, rounds=20)
    with pytest.raises(InputError, match="ask for 63 labels"):
        names["problems"](0, "tail", "test")


def test_texts_of_the_pool_that_stand_in_the_test_are_left_out_and_told(folder, capsys):
    with (folder / "train.csv").open("a") as file:
        file.write("Finch TEST: number 6!,bird\n")
    with (folder / "test.csv").open("a") as file:
        file.write("finch test number 6,bird\n")
    data_of(folder)
    assert "1 texts left out of the pool" in capsys.readouterr().out


def test_texts_in_other_than_latin_letters_are_told(folder, capsys):
    with (folder / "test.csv").open("a") as file:
        file.write("синица поёт в лесу,bird\n")
    data_of(folder)
    assert "1 are not in Latin letters" in capsys.readouterr().out


def test_parameters_out_of_range_are_refused(folder):
    refused(folder, "fold='train'", fold="train")
    refused(folder, "oracle_noise", oracle_noise=1.0)
    refused(folder, "rivals is not 1", rivals=1)


MUTATIONS = [
    ("np.setdiff1d(np.arange(len(state.x)), state.known)", "np.arange(len(state.x))"),
    ("np.argsort(-scores[free]", "np.argsort(scores[free]"),
    ('np.argsort(-scores[free], kind="stable")', "np.argsort(scores[free])[::-1]"),
    ("free[np.argsort(-scores[free]", "unlabelled(state)[np.argsort(-scores[: len(free)]"),
    ("classifier(known, answers[known])", "classifier(known, answers[np.arange(len(known))])"),
    ("cohen_kappa_score(before, p.argmax(axis=1))", "(before == p.argmax(axis=1)).mean()"),
    ("if after < rounds:", "if after <= rounds:"),
    ("known = np.concatenate([known, strategy(", "known = np.concatenate([start, strategy("),
    ("np.ones(window) / window", "np.ones(window)"),
    ("(window + i for", "(window + i - 1 for"),
    ("if mean >= level", "if mean <= level"),
    ("1 - state.p.max(axis=1)", "state.p.max(axis=1)"),
    ("ranked[:, -2] - ranked[:, -1]", "ranked[:, -1] - ranked[:, -2]"),
    ("ranked[:, -2] - ranked[:, -1]", "ranked[:, 0] - ranked[:, -1]"),
    ("return -(p * np.log", "return (p * np.log"),
    ("entropy_of(votes.mean(axis=0)) - entropy_of(votes).mean(axis=0)", "entropy_of(votes.mean(axis=0))"),
    ("entropy_of(votes.mean(axis=0)) - entropy_of(votes)", "entropy_of(votes.mean(axis=0)) + entropy_of(votes)"),
    ("logs[near] - logs[:, None]", "logs[:, None] - logs[near]"),
    ("state.known[np.argsort(far, axis=1", "state.known[np.argsort(-far, axis=1"),
    ("near, logs = state.known[", "near, logs = np.arange(len(state.known))["),
    ("- 2 * state.p + 1", "- 2 * state.p + 2"),
    ("(state.p * error).sum(axis=1)", "error.sum(axis=1)"),
    ("* np.sqrt((state.x**2).sum(axis=1) + 1)", "* np.sqrt((state.x**2).sum(axis=1))"),
    ("- 2 * a @ b.T", "- a @ b.T"),
    (".fit(state.x[free]).cluster_centers_", ".fit(state.x).cluster_centers_"),
    ("far[:, chosen] = np.inf", "pass"),
    ("int(far[c].argmin())", "int(far[c].argmax())"),
    ("state.x[state.known]).min(axis=1), []", "state.x[state.known]).max(axis=1), []"),
    ("far[state.known] = -1", "pass"),
    ("chosen.append(int(far.argmax()))", "chosen.append(int(far.argmin()))"),
    ("        far[chosen] = -1\n", ""),
    ("state.x[chosen[-1:]])[:, 0])", "state.x[chosen[:1]])[:, 0])"),
    ("0.5 / len(free) + 0.5 * far / far.sum()", "far / far.sum()"),
    ("((state.x[free] - state.x[free].mean(axis=0)) ** 2)", "(state.x[free] ** 2)"),
    ("cluster[:, None] != cluster, far, np.inf", "cluster[:, None] == cluster, far, np.inf"),
    ("np.quantile(stranger, 1 - purity)", "np.quantile(stranger, purity)"),
    ("ball[state.known].any(axis=0), list", "ball[state.known].all(axis=0), list"),
    ("(ball & ~covered).sum(axis=1) + luck", "ball.sum(axis=1) + luck"),
    ("(ball & ~covered).sum(axis=1) + luck", "(ball & ~covered).sum(axis=1)"),
    ("gain[chosen] = -1", "pass"),
    ("covered |= ball[chosen[-1]]", "pass"),
    ("state.known, invert=True)", "state.known)"),
    ("np.array_split(np.arange(q), parts)", "np.array_split(np.arange(q), 1)"),
    ("p - np.eye(p.shape[1])[p.argmax(axis=1)]", "p"),
    ("p - np.eye(p.shape[1])[p.argmax(axis=1)]", "p - np.eye(p.shape[1])[p.argmin(axis=1)]"),
    ("(error**2).sum(axis=1) * (h**2).sum(axis=1)", "(error**2).sum(axis=1) + (h**2).sum(axis=1)"),
    ("int(length.argmax())", "int(length.argmin())"),
    ("length + length[last] - 2 *", "length + length[last] +"),
    ("(error @ error[last]) * (h @ h[last])", "(error @ error[last])"),
    ("far = np.minimum(far, np.maximum(to_last, 0))", "far = np.maximum(to_last, 0)"),
    ("        far[chosen] = 0\n", ""),
    ("weights = far if far.any() else", "weights = far if True else"),
    ("return free[chosen]\n\n\ndef core_set", "return np.array(chosen)\n\n\ndef core_set"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
