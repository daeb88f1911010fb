"""Bodies run in part, the architectures, the four losses and the triples, each against something plainer."""

import numpy as np
import pandas as pd
import pytest
import torch
from running import awkward, on_folder, told_without_queries_or_documents

from finegrain import InputError
from finegrain.seeding import generator, seeded

NOTEBOOK = "retrieval/margin_mse"
ENDS = (2, 3, 0)  # opens, closes, pads
MASK = 4


def bert(layers=2, seed=0):
    """A small BERT with everything drawn at random, large enough that a slip shows."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=60,
        hidden_size=8,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=40,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
        initializer_range=0.6,
    )
    with seeded(seed, "body"):
        return BertModel(config, add_pooling_layer=False).eval()


def texts(*lengths, name="texts"):
    rng = generator(0, name)
    return [rng.integers(5, 60, size=length) for length in lengths]


def close(found, expected):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=2e-5, rtol=1e-4)


def states_of(model, tokens, kinds=None, places=None):
    """Transformers' own pass over one text: (L, d)."""
    given = {} if kinds is None else {"token_type_ids": torch.tensor([kinds])}
    given |= {} if places is None else {"position_ids": torch.tensor(np.array([places]))}
    return model(torch.tensor([list(tokens)]), **given).last_hidden_state[0]


def joint(method, split, marked=True, layers=2, start=9):
    with seeded(0, "joint"):
        return method.Joint(method.Body(bert(layers), ENDS), split, start, marked).eval()


QUERIES, PASSAGES = texts(3, 5, 1, name="queries"), texts(7, 2, 9, name="passages")
PASSAGES[0][2:4] = QUERIES[0][:2]  # two words of the first query, and one of the second, twice
PASSAGES[1][:] = QUERIES[1][3]


# --- triples ----------------------------------------------------------------------------------------------------------


def test_negatives_are_unlabelled_candidates_from_the_second_rank_on(method):
    pairs = np.array([(0, 7), (0, 1), (0, 2), (0, 3), (1, 5), (1, 6), (2, 4), (3, 8), (3, 9)])
    answers = {0: np.array([1, 3]), 1: np.array([6]), 2: np.array([4]), 3: np.array([0])}
    found = method.sample_triples(pairs, answers, 400, generator(0, "triples"))
    assert found.shape == (400, 3)
    assert {tuple(row) for row in found.tolist()} == {(0, 1, 2), (3, 0, 9)}  # 1 and 2 have no other candidate
    for start in range(0, 400, 2):
        assert set(found[start : start + 2, 0]) == {0, 3}  # each query once before any twice
    assert len(set(found[::2, 0])) == 2


def test_negatives_are_drawn_evenly(method):
    pairs = np.array([(0, document) for document in range(6)])
    found = method.sample_triples(pairs, {0: np.array([2])}, 4000, generator(0, "even"))
    counts = np.bincount(found[:, 2], minlength=6)
    assert counts[[0, 2]].tolist() == [0, 0]
    np.testing.assert_allclose(counts[[1, 3, 4, 5]] / 4000, 0.25, atol=0.03)


def test_no_candidate_left_is_told(method):
    with pytest.raises(InputError, match="no training query has a candidate that is not labelled"):
        method.sample_triples(np.array([(0, 1), (0, 2)]), {0: np.array([2])}, 3, generator(0, "none"))


# --- the body ---------------------------------------------------------------------------------------------------------


def test_a_body_run_whole_is_transformers_own_model_on_each_text_alone(method):
    model, rows = bert(), texts(3, 9, 1, 5)
    body = method.Body(model, ENDS)
    with torch.no_grad():
        tokens, states, present = body.embed(rows)
        found = body(states, present)
        assert present.sum(1).tolist() == [5, 11, 3, 7]
        for row, line, vectors, there in zip(rows, tokens, found, present, strict=True):
            assert line[there].tolist() == [2, *row, 3]
            assert set(line[~there].tolist()) <= {0}
            close(vectors[there], states_of(model, [2, *row, 3]))
        close(body(body(states, present, 0, 1), present, 1), found)
        assert torch.equal(body(states, present, 1, 1), states)


def test_a_passage_has_its_segment_its_positions_and_no_opening_token(method):
    model, rows = bert(), texts(3, 6)
    body = method.Body(model, ENDS)
    with torch.no_grad():
        tokens, states, present = body.embed(rows, False, 1, 9)
        found = body(states, present)
        for row, vectors, there in zip(rows, found, present, strict=True):
            close(vectors[there], states_of(model, [*row, 3], [1] * (len(row) + 1), 9 + np.arange(len(row) + 1)))
        masked = body.embed(rows, masks=(3, MASK))[0]
    assert tokens[0].tolist() == [*rows[0], 3, 0, 0, 0]
    assert masked[1].tolist() == [2, *rows[1], 3, MASK, MASK, MASK]


def test_scores_of_a_batch_are_those_of_each_pair_alone(method):
    with torch.no_grad():
        for ranker in rankers(method):
            found = ranker(QUERIES, [*PASSAGES, *PASSAGES[::-1]])
            assert found.shape == (2, 3)
            for scores, some in zip(found, (PASSAGES, PASSAGES[::-1]), strict=True):
                close(scores, [ranker([q], [p]).item() for q, p in zip(QUERIES, some, strict=True)])
            assert (found[0, 0] - found[1, 0]).abs() > 1e-3


def rankers(method):
    with seeded(0, "rankers"):
        yield method.Dot(method.Body(bert(), ENDS))
        yield method.Dot(method.Body(bert(), ENDS), "cls")
        yield method.ColBert(method.Body(bert(), ENDS), 5, 2, MASK)
        tk = method.TK(method.Body(bert(), ENDS))
        torch.nn.init.normal_(tk.head.weight)
        yield tk
    for split in (0, 1):
        yield joint(method, split)


# --- DOT and ColBERT --------------------------------------------------------------------------------------------------


def test_dot_is_the_scaled_product_of_two_means_or_of_two_first_states(method):
    model = bert()
    for pooling in ("mean", "cls"):
        ranker = method.Dot(method.Body(model, ENDS), pooling)
        with torch.no_grad():
            found = ranker(QUERIES, PASSAGES)[0]
            for score, q, p in zip(found, QUERIES, PASSAGES, strict=True):
                sides = [states_of(model, [2, *row, 3]) for row in (q, p)]
                vectors = [side.mean(0) if pooling == "mean" else side[0] for side in sides]
                close(score, 5 / np.sqrt(8) * (vectors[0] @ vectors[1]))


def test_colbert_is_a_plain_loop_over_the_querys_tokens_and_its_masks(method):
    model = bert()
    with seeded(0, "colbert"):
        ranker = method.ColBert(method.Body(model, ENDS), 5, 2, MASK)
    with torch.no_grad():
        found = ranker(QUERIES, PASSAGES)[0]
        for score, q, p in zip(found, QUERIES, PASSAGES, strict=True):
            asked = states_of(model, [2, *q, 3, MASK, MASK]) @ ranker.linear.weight.T
            there = states_of(model, [2, *p, 3]) @ ranker.linear.weight.T
            assert there.shape == (len(p) + 2, 5)
            close(score, sum(max(float(one @ other) for other in there) for one in asked) / 5)


def test_a_passage_whose_products_are_all_negative_is_not_helped_by_padding(method):
    with seeded(0, "colbert"):
        ranker = method.ColBert(method.Body(bert(), ENDS), 5, 0, MASK)
    asked = [torch.ones(1, 2, 5), torch.tensor([[True, True]])]
    there = [-torch.ones(1, 3, 5), torch.tensor([[True, True, False]])]
    there[0][0, 2] = 7.0
    assert ranker.match(asked, there).item() == pytest.approx(-2)
    asked[1][0, 1] = False
    assert ranker.match(asked, there).item() == pytest.approx(-1)


# --- TK ---------------------------------------------------------------------------------------------------------------


def test_tk_is_a_plain_loop_over_words_and_kernels(method):
    model = bert()
    with seeded(0, "tk"):
        ranker = method.TK(method.Body(model, ENDS))
    ranker.mixed.data.fill_(0.3)
    with seeded(1, "head"):
        torch.nn.init.normal_(ranker.head.weight)
    with torch.no_grad():
        found = ranker(QUERIES, PASSAGES)[0]
        for score, q, p in zip(found, QUERIES, PASSAGES, strict=True):
            pooled = np.zeros((2, 11))
            for number, centre in enumerate(np.r_[1.0, np.arange(0.9, -1.0, -0.2)]):
                for one in mixtures(model, q):
                    count = sum(np.exp(-50 * (cosine(one, other) - centre) ** 2) for other in mixtures(model, p))
                    pooled[:, number] += np.log2(max(count, 1e-10)), 100 * count / len(p)
            weights, bias = ranker.head.weight[0].numpy(), ranker.head.bias.item()
            assert score.item() == pytest.approx(pooled.ravel() @ weights + bias, rel=1e-4)


def mixtures(model, row):
    """Vectors of a text's words: 0.3 of the vocabulary's and 0.7 of the states."""
    words = model.get_input_embeddings().weight[torch.tensor(row)]
    return (0.3 * words + 0.7 * states_of(model, [*row, 3])[:-1]).numpy()


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


# --- PreTT and CAT ----------------------------------------------------------------------------------------------------


def test_without_split_and_marks_it_is_transformers_own_cross_encoder(method):
    ranker = joint(method, 0, marked=False)
    with torch.no_grad():
        found = ranker(QUERIES, PASSAGES)[0]
        for score, q, p in zip(found, QUERIES, PASSAGES, strict=True):
            tokens = [2, *q, 3, *p, 3]
            kinds = [0] * (len(q) + 2) + [1] * (len(p) + 1)
            places = [*range(len(q) + 2), *range(9, 10 + len(p))]
            close(score, ranker.head(states_of(ranker.body.model, tokens, kinds, places)[0])[0])


def test_split_in_the_middle_the_layers_run_apart_and_then_together(method):
    for split in (0, 1, 2):
        ranker = joint(method, split, layers=3)
        layers = ranker.body.model.encoder.layer
        with torch.no_grad():
            found = ranker(QUERIES, PASSAGES)[0]
            for score, q, p in zip(found, QUERIES, PASSAGES, strict=True):
                close(score, by_hand(ranker, layers, split, q, p))


def by_hand(ranker, layers, split, query, passage):
    """(4) for one pair, without padding."""
    embeddings, sides = ranker.body.model.embeddings, []
    for tokens, kind, start, other in (([2, *query, 3], 0, 0, passage), ([*passage, 3], 1, 9, query)):
        places = torch.arange(start, start + len(tokens))[None]
        kinds = torch.full((1, len(tokens)), kind)
        states = embeddings(torch.tensor([tokens]), token_type_ids=kinds, position_ids=places)
        for layer in layers[:split]:
            states = layer(states)
            states = states if torch.is_tensor(states) else states[0]
        for number, token in enumerate(tokens):
            if token in other:
                states[0, number] += ranker.mark
        sides.append(states)
    states = torch.cat(sides, 1)
    for layer in layers[split:]:
        states = layer(states)
        states = states if torch.is_tensor(states) else states[0]
    return ranker.head(states[0, 0])[0]


def test_with_all_layers_apart_the_passage_says_nothing_and_before_that_it_does(method):
    with torch.no_grad():
        apart = joint(method, 2, marked=False)
        found = apart([QUERIES[0]] * 3, PASSAGES)[0]
        close(found, found[:1].expand(3))
        together = joint(method, 1, marked=False)([QUERIES[0]] * 3, PASSAGES)[0]
    assert together.std() > 1e-2


def test_what_is_read_of_a_passage_depends_on_no_query(method):
    ranker = joint(method, 1)
    with torch.no_grad():
        _, states, present = ranker.read(PASSAGES, False)
        for row, one, there in zip(PASSAGES, states, present, strict=True):
            close(one[there], ranker.read([row], False)[1][0])


def test_marks_stand_where_the_texts_share_words_and_nowhere_else(method):
    marked, plain = joint(method, 0), joint(method, 0, marked=False)
    strangers = [np.full(4, 59 - number) for number in range(3)]
    queries = [row[row < 50] if (row < 50).any() else np.array([7]) for row in QUERIES]
    with torch.no_grad():
        close(marked(queries, strangers), plain(queries, strangers))
        assert (marked(QUERIES, PASSAGES) - plain(QUERIES, PASSAGES))[0, :2].abs().min() > 1e-3


# --- losses -----------------------------------------------------------------------------------------------------------


SCORES = torch.tensor([[3.0, 0.5], [1.0, 2.0]])  # s+ of two triples, s- of both
TAUGHT = torch.tensor([[5.0, 1.0], [1.0, 1.5]])


def test_losses_by_hand(method):
    margins, wanted = [2.0, -1.5], [4.0, -0.5]
    close(method.margin_mse(SCORES, TAUGHT), (4.0 + 1.0) / 2)
    close(method.pointwise_mse(SCORES, TAUGHT), ((4.0 + 0.0) + (0.25 + 0.25)) / 2)
    plain = [np.log1p(np.exp(-margin)) for margin in margins]
    close(method.ranknet(SCORES, None), np.mean(plain))
    close(method.weighted_ranknet(SCORES, TAUGHT), np.mean(np.abs(wanted) * plain))


def test_margin_mse_is_that_of_sentence_transformers(method):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss

    vectors = [torch.from_numpy(generator(0, name).normal(size=(6, 4)).astype(np.float32)) for name in "qpn"]
    taught = torch.from_numpy(generator(0, "t").normal(size=(2, 6)).astype(np.float32))
    loss = MarginMSELoss(SentenceTransformer(modules=[Words()]))
    expected = loss.compute_loss_from_embeddings(vectors, taught[0] - taught[1])
    scores = torch.stack([(vectors[0] * other).sum(1) for other in vectors[1:]])
    close(method.margin_mse(scores, taught), expected)


class Words(torch.nn.Module):
    """A module that sentence-transformers accepts; it encodes nothing."""

    def forward(self, features):
        return features


def test_a_shift_of_a_querys_scores_changes_margins_losses_but_not_the_pointwise_one(method):
    shift = torch.tensor([10.0, -3.0])
    for loss in (method.margin_mse, method.ranknet, method.weighted_ranknet):
        close(loss(SCORES + shift, TAUGHT), loss(SCORES, TAUGHT))
        close(loss(SCORES, TAUGHT + shift), loss(SCORES, TAUGHT))
    assert method.pointwise_mse(SCORES + shift, TAUGHT) > 10


def test_losses_at_their_limits(method):
    assert method.margin_mse(TAUGHT + 7, TAUGHT) == 0
    assert method.pointwise_mse(TAUGHT, TAUGHT) == 0
    close(method.ranknet(torch.zeros(2, 3), None), np.log(2))
    close(method.ranknet(torch.tensor([[50.0], [0.0]]), None), 0.0)
    close(method.weighted_ranknet(SCORES, torch.ones(2, 2)), 0.0)  # a teacher that sees no difference asks for none


def test_a_few_steps_bring_a_students_margins_to_the_teachers(method):
    with seeded(0, "student"):
        ranker = method.Dot(method.Body(bert(), ENDS))
    taught = torch.tensor([[4.0, 1.0, 0.5], [1.0, 1.0, 1.5]])
    optimizer = torch.optim.Adam(ranker.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = method.margin_mse(ranker(QUERIES, [*PASSAGES, *PASSAGES[::-1]]), taught)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


# --- the whole notebook on awkward data -------------------------------------------------------------------------------


def run(folder, *more):
    return on_folder(NOTEBOOK, folder, "queries=50", *more)


def test_repeated_long_and_empty_texts_and_queries_without_an_answer_run(tmp_path):
    awkward(tmp_path, 30, "")
    status, said = run(tmp_path, "depth=100")  # more candidates than there are documents
    assert status == 0, said
    table = pd.read_csv(tmp_path / "out/table.csv").set_index("arm")
    assert {"DOT, Margin-MSE", "ColBERT, RankNet", "control: random scores, ColBERT, Margin-MSE", "T1", "BM25"} <= {
        *table.index
    }
    assert table["nDCG@10"].between(0, 1).all()
    caption = (tmp_path / "out/table.md").read_text().splitlines()[0]
    assert "35 queries, 60 documents" in caption  # five of the forty have no relevant document


def test_an_empty_corpus_no_negatives_and_no_training_queries_are_told_in_one_sentence(tmp_path):
    awkward(tmp_path, 30, "")
    status, said = run(tmp_path, "training=1")
    assert status == 2
    assert "no training query has a candidate that is not labelled; give more documents" in said
    told_without_queries_or_documents(run, tmp_path, "train")


MUTATIONS = [
    ("pairs[1:][pairs[1:, 0] == pairs[:-1, 0]].tolist()", "pairs.tolist()"),
    ("pairs[1:][pairs[1:, 0] == pairs[:-1, 0]].tolist()", "pairs[1:].tolist()"),
    ("query in answers and document not in answers[query]", "query in answers"),
    ("query in answers and document not in answers[query]", "query in answers and document != answers[query][0]"),
    ("answers[query][0], rng.choice(options[query])", "answers[query][-1], rng.choice(options[query])"),
    ("rng.choice(options[query])", "options[query][0]"),
    ("[rng.permutation(asked) for _", "[rng.choice(asked, len(asked)) for _"),
    ("[first] if opened else []", "[first]"),
    ("tail = [last] + masks[0] * [masks[1]]", "tail = masks[0] * [masks[1]] + [last]"),
    ("torch.arange(tokens.shape[1], device=tokens.device) <", "torch.arange(tokens.shape[1], device=tokens.device) <="),
    ("places = start + torch.arange", "places = torch.arange"),
    ("torch.full_like(tokens, kind)", "torch.full_like(tokens, 0)"),
    ("masked_fill(~present, -1e9)", "masked_fill(present, -1e9)"),
    ("masked_fill(~present, -1e9)", "masked_fill(~present, 0.0)"),
    (".encoder.layer[first:last]", ".encoder.layer[first:]"),
    (".encoder.layer[first:last]", ".encoder.layer[:last]"),
    ("part.repeat(times, *(part.dim() - 1) * [1])", "part.repeat_interleave(times, 0)"),
    (".view(times, len(queries))", ".view(len(queries), times).T"),
    ("torch.tensor(5 * body.width**-0.5)", "torch.tensor(1.0)"),
    ("return (states[:, 0],)", "return (states[:, -1],)"),
    ("(states * present[..., None]).sum(1) / present", "states.sum(1) / present"),
    (" / present.sum(1, keepdim=True),)", " / present.shape[1],)"),
    ("self.masks if asked else (0, 0)", "self.masks"),
    ("self.masks if asked else (0, 0)", "(0, 0)"),
    ("products.masked_fill(~passages[1][:, None], -torch.inf).amax(-1)", "products.amax(-1)"),
    ("products.masked_fill(~passages[1][:, None], -torch.inf)", "products.masked_fill(~passages[1][:, None], 0.0)"),
    (".amax(-1)", ".mean(-1)"),
    ("-torch.inf).amax(-1)", "-torch.inf).amax(-1).relu()"),
    ("(best * queries[1]).sum(-1)", "best.sum(-1)"),
    ("(best * queries[1]).sum(-1)", "(best * queries[1]).mean(-1)"),
    ("self.body.embed(rows, opened=False)", "self.body.embed(rows)"),
    ("self.mixed * self.words(tokens) + (1 - self.mixed)", "self.mixed * self.words(tokens) + self.mixed"),
    ("present & (tokens != self.body.ends[1])", "present"),
    ("normalize(mixture, dim=-1)", "mixture"),
    ("(2 * 0.1**2)", "0.1**2"),
    ("(kernels * passages[1][:, None, :, None]).sum(2)", "kernels.sum(2)"),
    ("100 * tf / passages[1].sum(1).clamp(min=1)[:, None, None]", "100 * tf / passages[1].shape[1]"),
    ("tf.clamp(min=1e-10).log2()", "(1 + tf).log2()"),
    ("(pooled * queries[1][..., None]).sum(1)", "pooled.sum(1)"),
    ("self.body.embed(rows, asked, 0 if asked else 1,", "self.body.embed(rows, asked, 0,"),
    ("0 if asked else self.start)", "0)"),
    ("self.body(states, present, 0, self.split)", "states"),
    ("self.body(states, present, self.split)[:, 0]", "self.body(states, present)[:, 0]"),
    ("self.body(states, present, self.split)[:, 0]", "self.body(states, present, self.split)[:, -1]"),
    ("side[2] & ~torch.isin(side[0], ends)", "side[2]"),
    ("[same.any(2), same.any(1)]", "[same.any(2), torch.zeros_like(same.any(1))]"),
    ("[same.any(2), same.any(1)]", "[torch.zeros_like(same.any(2)), same.any(1)]"),
    ("return softplus(scores[1] - scores[0]).mean()", "return softplus(scores[0] - scores[1]).mean()"),
    ("(taught[0] - taught[1]).abs() * softplus", "(taught[0] - taught[1]) * softplus"),
    ("(taught[0] - taught[1]).abs() * softplus", "softplus"),
    ("(scores - taught).square().sum(0).mean()", "(scores - taught).square().mean()"),
    ("(scores - taught).square().sum(0).mean()", "(scores - taught).sum(0).square().mean()"),
    ("- (taught[0] - taught[1])).square()", "- (taught[0] - taught[1])).abs()"),
    ("((scores[0] - scores[1]) - (taught[0]", "((scores[0] + scores[1]) - (taught[0]"),
    ("((scores[0] - scores[1]) - (taught[0]", "((scores[1] - scores[0]) - (taught[0]"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
