"""De-duplication, filters, the weighted and the soft verbalizer, pruning, and KPT's relevance."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from finegrain import InputError
from finegrain.models import find_model
from finegrain.run import notebooks
from finegrain.seeding import generator, seeded

NOTEBOOK = "text_classification/sciprompt"

PIECES = [[[3], [5, 1], [0, 2, 4]], [[7], [6, 9]], [[8, 3], [2], [1, 9], [4]]]
WEIGHTS = [[1.0, 0.9, 0.5], [1.0, 0.2], [1.0, 0.7, 0.6, 0.8]]


def drawn(*shape, name="logits"):
    return torch.from_numpy(generator(0, name).normal(0, 2, size=shape))


def double(verbalizer):
    """A verbalizer that computes in double precision."""
    return verbalizer.double().eval()


# --- terms ------------------------------------------------------------------------------------------------------------


def test_a_term_belongs_to_the_first_class_that_it_is_found_for(method):
    lists = [["filter", "signal", "filter", "wave"], ["wave", "tree", "signal", "forest"], ["tree", "leaf", "forests"]]
    names = ["signals", "forest", "leaf"]
    assert method.deduplicated(names, lists) == [[0, 1, 3], [1], [2]]


def test_with_scores_a_term_belongs_to_the_class_where_it_scores_highest(method):
    lists = [["filter", "wave", "a"], ["wave", "filter"], ["wave", "a"]]
    scores = [[0.3, 0.5, 0.1], [0.6, 0.3], [0.6, 0.9]]
    assert method.deduplicated(["x", "y", "z"], lists, scores) == [[0], [0], [1]]  # ties stay with the first


def test_no_term_is_given_twice_and_none_is_lost(method):
    rng = generator(0, "terms")
    lists = [[f"t{i}" for i in rng.integers(0, 40, 25)] for _ in range(5)]
    scores = [rng.random(25).tolist() for _ in lists]
    for given in (None, scores):
        found = [
            lists[c][i] for c, some in enumerate(method.deduplicated(["t3", "t7"] * 3, lists, given)) for i in some
        ]
        assert len(found) == len(set(found))
        assert set(found) == {term for some in lists for term in some} - {"t3", "t7"}


def test_the_filter_keeps_what_passes_both_thresholds_strictly_and_orders_by_contrast(method):
    terms = ["low", "edge", "late", "contrast", "limit", "ab", "first", "big"]
    s = np.array([0.4, 0.5, 0.6, 0.9, 0.8, 0.9, 0.55, 1.2])
    x = np.array([0.1, 0.1, 0.8, 0.95, 0.9, 0.1, 0.2, 0.5])
    kept, weights = method.filtered("name", terms, s, x, 0.5, 0.9)
    assert kept == ["name", "first", "big", "late"]
    assert weights == [1.0, 0.55, 1.0, 0.6]


def test_a_class_without_any_term_that_passes_has_its_name(method):
    assert method.filtered("name", ["abc"], np.array([0.1]), np.array([0.0]), 0.5, 0.9) == (["name"], [1.0])
    assert method.filtered("ab", [], np.zeros(0), np.zeros(0), 0.5, 0.9) == (["ab"], [1.0])


# --- the weighted verbalizer ------------------------------------------------------------------------------------------


def plain_loop(z, pieces, weights, prior=None, temperature=1.0):
    """Class logits of one z (V,), from the equations in plain loops."""

    def shares(z):
        scores = [[sum(z[u] for u in term) / len(term) for term in some] for some in pieces]
        total = sum(np.exp(one) for some in scores for one in some)
        return [[np.exp(one) / total for one in some] for some in scores]

    p = shares(z)
    if prior is not None:
        usual = shares(prior)
        p = [[a / (b + 1e-15) for a, b in zip(*pair, strict=True)] for pair in zip(p, usual, strict=True)]
        total = sum(map(sum, p))
        p = [[one / total for one in some] for some in p]
    logits = []
    for some, own in zip(p, weights, strict=True):
        power = np.exp(np.array(own) / temperature)
        logits.append(sum(w * np.log(one + 1e-15) for w, one in zip(power / power.sum(), some, strict=True)))
    return logits


def test_class_logits_are_those_of_a_plain_loop(method):
    z, prior = drawn(6, 10), drawn(10, name="prior")
    for calibration in (None, prior):
        for temperature in (1.0, 0.2):
            found = double(method.Verbalizer(PIECES, WEIGHTS, calibration, temperature))(z)
            usual = None if calibration is None else prior.numpy()
            expected = [plain_loop(one, PIECES, WEIGHTS, usual, temperature) for one in z.numpy()]
            np.testing.assert_allclose(found.detach(), expected, rtol=1e-6)


def test_one_text_by_hand(method):
    z = torch.log(torch.tensor([[1.0, 4.0, 2.0]]))
    found = method.Verbalizer([[[0]], [[1, 2], [2]]], [[1.0], [1.0, 1.0]])(z)[0].exp()
    total = 1 + np.sqrt(4 * 2) + 2  # a phrase is the geometric mean of its pieces
    np.testing.assert_allclose(found.tolist(), [1 / total, np.sqrt(np.sqrt(8) * 2) / total], rtol=1e-5)


def test_calibration_divides_by_the_usual_share_and_makes_usual_texts_even(method):
    prior = drawn(10, name="prior")
    found = double(method.Verbalizer(PIECES, WEIGHTS, prior))(prior[None])
    np.testing.assert_allclose(found.detach(), np.log(1 / 9), rtol=1e-6)  # nine terms, all as likely as usual


def test_what_is_added_to_all_logits_and_the_order_of_terms_do_not_count(method):
    z, prior = drawn(4, 10), drawn(10, name="prior")
    expected = double(method.Verbalizer(PIECES, WEIGHTS, prior))(z).detach()
    moved = double(method.Verbalizer(PIECES, WEIGHTS, prior + 3))(z - 5).detach()
    np.testing.assert_allclose(moved, expected, rtol=1e-6)
    turned = [[some[::-1] for some in both] for both in (PIECES, WEIGHTS)]
    np.testing.assert_allclose(double(method.Verbalizer(*turned, prior))(z).detach(), expected, rtol=1e-6)


def test_at_a_low_temperature_the_name_alone_speaks_and_at_a_high_one_all_terms_alike(method):
    z = drawn(4, 10)
    alone = [[plain_loop(one, PIECES, [[9e3, *some[1:]] for some in WEIGHTS], None, 1e2)] for one in z.numpy()]
    found = double(method.Verbalizer(PIECES, WEIGHTS, None, 1e-3))(z).detach()
    np.testing.assert_allclose(found, np.squeeze(alone), rtol=1e-6)
    even = double(method.Verbalizer(PIECES, [[1.0] * len(some) for some in WEIGHTS]))(z).detach()
    np.testing.assert_allclose(double(method.Verbalizer(PIECES, WEIGHTS, None, 1e9))(z).detach(), even, rtol=1e-6)


def test_the_weights_are_trained_and_the_usual_shares_are_not(method):
    verbalizer = method.Verbalizer(PIECES, WEIGHTS, drawn(10, name="prior").float())
    assert [name for name, _ in verbalizer.named_parameters()] == ["weights"]
    verbalizer(drawn(3, 10).float())[:, 0].sum().backward()
    gradient = verbalizer.weights.grad
    assert (gradient[0, :3] != 0).all()
    assert (gradient[1, 2:] == 0).all()  # slots without a term


def test_pruning_drops_terms_with_a_piece_in_the_lowest_half_and_keeps_names(method):
    prior = torch.tensor([9.0, 0.0, 8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0])  # lowest half: 1 3 5 7 9
    assert method.pruned(PIECES, prior) == [[True, False, True], [True, False], [True, True, False, True]]
    assert method.pruned([[[0], [1]], [[1], [9]]], prior, 0.1) == [[True, False], [True, True]]
    assert method.pruned(PIECES, prior, 0.0) == [[True] * len(some) for some in PIECES]


# --- the soft verbalizer ----------------------------------------------------------------------------------------------


def test_the_rows_of_the_soft_verbalizer_are_weighted_means_of_mean_embeddings(method):
    table, states = drawn(10, 4, name="table"), drawn(3, 4, name="states")
    soft = method.SoftVerbalizer(PIECES, WEIGHTS, table)
    expected = np.zeros((3, 4))
    for c, some in enumerate(PIECES):
        for term, weight in zip(some, WEIGHTS[c], strict=True):
            for piece in term:
                expected[c] += weight * table[piece].numpy() / len(term) / len(some)
    np.testing.assert_allclose(soft.rows.detach(), expected)
    np.testing.assert_allclose(soft(states).detach(), states.numpy() @ expected.T)


def test_the_soft_verbalizer_learns_without_changing_the_embeddings(method):
    table = drawn(10, 4, name="table").requires_grad_()
    soft = method.SoftVerbalizer(PIECES, WEIGHTS, table)
    soft(drawn(3, 4, name="states")).sum().backward()
    assert soft.rows.grad is not None
    assert table.grad is None


# --- KPT's relevance --------------------------------------------------------------------------------------------------


def test_a_term_is_relevant_if_it_moves_with_its_own_name_more_than_with_the_mean_of_the_others(method):
    q = np.abs(generator(0, "q").normal(size=(12, 30)))
    name, owner = np.array([0, 5, 9]), np.repeat([0, 1, 2], [5, 4, 3])
    q[2], q[6] = q[0] * 3, q[0]  # one follows its name, the other a name that is not its own
    found = method.relevant(q, name, owner)

    def cosine(a, b):
        return a @ b / np.sqrt((a @ a) * (b @ b))

    for v in range(12):
        others = [cosine(q[v], q[name[y]]) for y in range(3) if y != owner[v]]
        assert found[v] == (cosine(q[v], q[name[owner[v]]]) * 2 / sum(others) >= 1)
    assert found[2]
    assert not found[6]


# --- what a user can get wrong ----------------------------------------------------------------------------------------

TOPICS = {"trees": "a tree that grows in the forest", "waves": "the wave that runs over the sea"}


def cells_with(*marks):
    """The notebook's code cells that hold one of the texts, in order."""
    cells = [cell for cell in notebooks.find(NOTEBOOK).cells if cell.kind == "code"]
    return [cell.source for cell in cells if any(mark in cell.source for mark in marks)]


@pytest.fixture
def opened(tmp_path):
    """A function that carries out the notebook up to its model, on tables of (text, label) by fold."""

    def opened(folds=(), *marks, **given):
        for fold in ("train", "dev", "test"):
            rows = [(f"{said}, {fold} {i}", name) for name, said in TOPICS.items() for i in range(12)]
            rows = folds(fold, rows) if callable(folds) else rows
            pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / f"{fold}.csv", index=False)
        space = {"display": print}
        exec(cells_with("scale: str")[0], space)
        space.update({"dataset": str(tmp_path), "scale": "smoke", "out": str(tmp_path / "out"), **given})
        for source in cells_with("import numpy as np", "data = with_dev", "parts = {", *marks):
            exec(source, space)
            space |= {"load_masked_lm": small_model}
        return space

    return opened


def small_model(*_):
    """A masked language model of random weights with MiniLM's tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    tokenizer = AutoTokenizer.from_pretrained(find_model("minilm").folder)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    with seeded(0, "small model"):
        return BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **shape)).eval(), tokenizer


def without(name, where):
    return lambda fold, rows: [row for row in rows if row[1] != name or fold not in where]


def one_text(text, where="test"):
    return lambda fold, rows: [*rows, (text, "trees")] if fold == where else rows


@pytest.mark.parametrize(
    ("folds", "given", "message"),
    [
        (without("waves", ("train", "dev", "test")), {}, "holds 1 class; at least two are needed"),
        ((), {"classes": 1}, "1 class with texts in each fold; a classifier needs two"),
        (without("waves", ("train",)), {}, "the class 'waves' has no text in the fold train"),
        (without("waves", ("test",)), {}, "the class 'waves' has no text in the fold test"),
        (one_text("..."), {"asked": 99}, "('...') has no word; leave it out"),
        ((), {"shots": "1 13"}, "shots='1 13': the class 'trees' has 12 texts in the fold train"),
        ((), {"shots": "5"}, "shots='5': give two different numbers from 1 on"),
        ((), {"shots": "1 1"}, "shots='1 1': give two different numbers from 1 on"),
        ((), {"fold": "train"}, "fold='train': choose one of dev, test, confirm"),
        ((), {"template": "About: "}, "template='About: ': say [MASK] once"),
        ((), {"pool": -1}, "pool=-1, layers=2, tokens=48: give no number below 0"),
    ],
)
def test_what_cannot_be_classified_is_refused_with_one_sentence(opened, folds, given, message):
    with pytest.raises(InputError) as refused:
        opened(folds, **given)
    assert message in str(refused.value)


def test_two_classes_of_one_name_are_refused(opened):
    with pytest.raises(InputError, match="two classes are called 'trees'"):
        opened(lambda fold, rows: [*rows, *((f"a {text}", "Trees") for text, name in rows if name == "trees")])


def test_texts_of_train_that_are_asked_too_are_left_out_and_counted(opened, capsys):
    space = opened(one_text("A Tree that grows in the forest: TEST 3!", "train"), asked=99)
    assert "1 texts of train equal one that is asked, and are left out" in capsys.readouterr().out
    assert len(space["parts"]["train"]) == 24


def test_texts_in_other_letters_are_counted(opened, capsys):
    opened(one_text("дерево, которое растёт в лесу"), asked=99)
    assert "1 are not in Latin letters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"trees": ["oak"]}, "has no list of terms for the class 'waves'"),
        ({"trees": ["oak"], "waves": "sea"}, "has no list of terms for the class 'waves'"),
        ({"trees": ["oak"], "waves": [], "winds": ["gale"]}, "has terms for 'winds', which is no class of"),
        ({"trees": [["oak"]], "waves": []}, "a list of terms, or of pairs of a term and its weight"),
        (["oak"], "no JSON file of terms by class name"),
    ],
)
def test_terms_that_do_not_fit_the_classes_are_refused(opened, tmp_path, said, message):
    path = tmp_path / "terms.json"
    path.write_text(json.dumps(said))
    space = opened((), "def given_terms(")
    with pytest.raises(InputError) as refused:
        space["given_terms"](path)
    assert message in str(refused.value)


def test_terms_come_with_weights_or_without(opened, tmp_path):
    space, path = opened((), "def given_terms("), tmp_path / "terms.json"
    path.write_text(json.dumps({"Trees": ["Oak", "old oak"], "waves": []}))
    assert space["given_terms"](path) == ([["oak", "old oak"], []], None)
    path.write_text(json.dumps({"trees": [["oak", 0.9], ["elm", 1]], "waves": [["sea", 0.5]]}))
    assert space["given_terms"](path) == ([["oak", "elm"], ["sea"]], [[0.9, 1], [0.5]])


# --- how a text is read -----------------------------------------------------------------------------------------------


def test_kept_states_and_the_upper_layers_give_what_the_whole_model_gives(opened):
    space = opened((), "class Reader(")
    space["dtype"] = torch.float32
    model, tokenizer = space["model"], space["tokenizer"]
    texts = [" ".join(["wave tree"] * n) for n in (1, 3, 70)]
    opening, at = space["opened"](space["template"])
    batch = tokenizer([opening + text for text in texts], truncation=True, max_length=60, padding=True)
    batch = {name: torch.tensor(some) for name, some in batch.items()}
    assert (batch["input_ids"][:, at] == tokenizer.mask_token_id).all()
    with torch.inference_mode():
        last = model.base_model(**batch).last_hidden_state
        z = model(**batch).logits[:, at]
    space["tokens"] = 60 - len(tokenizer(opening)["input_ids"])
    for depth in (1, 2, 3):
        *read, states = space["untrained"](texts, space["template"], depth)
        torch.testing.assert_close(space["vocabulary_logits"](states), z, atol=1e-5, rtol=1e-4)
        first = space["answers"](space["Reader"](depth, 0), read)
        torch.testing.assert_close(first, last[:, 0], atol=1e-5, rtol=1e-4)
        real = batch["attention_mask"][..., None]
        mean = space["answers"](space["Reader"](depth, None), read)
        torch.testing.assert_close(mean, (last * real).sum(1) / real.sum(1), atol=1e-5, rtol=1e-4)


def test_a_class_name_without_word_pieces_is_refused(opened):
    with pytest.raises(InputError, match="doc-bert has no word pieces for the class name '𓀀𓀁'"):
        opened(lambda fold, rows: [*rows, *((text, "𓀀𓀁") for text, _ in rows[:12])], "class Reader(", "def pieces_of(")


MUTATIONS = [
    ("owner, best = dict.fromkeys(names, -1), {}", "owner, best = {}, {}"),
    ("term not in owner or (owner[term] >= 0 and score > best[term])", "True"),
    ("score > best[term]", "score < best[term]"),
    ("score > best[term]", "score >= best[term]"),
    ("if owner[t] == c and t not in some[:i]", "if owner[t] == c"),
    ("if owner[t] == c and t not in some[:i]", "if t not in some[:i]"),
    ("s[i] > s_above", "s[i] >= s_above"),
    ("x[i] < x_below", "x[i] <= x_below"),
    ("x[i] < x_below", "x[i] > x_below"),
    ("len(t) >= 3", "len(t) >= 2"),
    ("stays.sort(key=lambda i: x[i])", "stays.sort(key=lambda i: -x[i])"),
    ("stays.sort(key=lambda i: x[i])", "stays.sort(key=lambda i: -s[i])"),
    ("min(float(s[i]), 1.0)", "float(s[i])"),
    ("return [name, *(terms[i] for i in stays)]", "return [*(terms[i] for i in stays), name]"),
    ("share[c, i, : len(term)] = 1 / len(term)", "share[c, i, : len(term)] = 1"),
    ("share[c, i, : len(term)] = 1 / len(term)", "share[c, i, 0] = 1"),
    ("masked_fill(self.share.sum(-1) == 0, -10_000)", "masked_fill(self.share.sum(-1) == 0, 0)"),
    ("scores.flatten(1).softmax(1).view_as(scores)", "scores.softmax(2)"),
    ("self.shares(prior[None])[0]", "self.shares(0 * prior[None])[0]"),
    ("p = p / (self.usual + 1e-15)", "p = p * (self.usual + 1e-15)"),
    ("p = p / p.sum((1, 2), keepdim=True)", "p = p / p.sum(2, keepdim=True)"),
    ("self.weights / self.temperature", "self.weights * self.temperature"),
    ("self.weights / self.temperature", "-self.weights / self.temperature"),
    ("-torch.inf).softmax(1)", "0).softmax(1)"),
    ("(weights * (p + 1e-15).log()).sum(-1)", "(weights * p).sum(-1)"),
    ("(weights * (p + 1e-15).log()).sum(-1)", "(weights * (p + 1e-15).log()).mean(-1)"),
    ("self.weights = torch.nn.Parameter(start)", 'self.register_buffer("weights", start)'),
    ("i == 0 or rare.isdisjoint(term)", "rare.isdisjoint(term)"),
    ("i == 0 or rare.isdisjoint(term)", "i == 0 or not rare.issuperset(term)"),
    ("prior.argsort()[: int(share * len(prior))]", "prior.argsort(descending=True)[: int(share * len(prior))]"),
    ("weight * table[term].mean(0)", "table[term].mean(0)"),
    ("weight * table[term].mean(0)", "weight * table[term].sum(0)"),
    ("strict=True)) / len(some)", "strict=True)) / sum(own)"),
    ("q / np.linalg.norm(q, axis=1, keepdims=True)", "q"),
    ("own * (len(name) - 1) >= cosines.sum(axis=1) - own", "own * (len(name) - 1) >= cosines.sum(axis=1)"),
    ("own * (len(name) - 1) >= cosines.sum(axis=1) - own", "own * len(name) >= cosines.sum(axis=1) - own"),
    ("cosines[np.arange(len(q)), owner]", "cosines.max(axis=1)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
