"""Losses, questions, the label map and whole rounds of active discovery, against loops that one can read."""

import itertools
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from finegrain.seeding import generator, seeded

NOTEBOOK = "vision_language/agcd"

OLD, CLASSES, WIDTH = 2, 4, 6


def unit(*shape, name="vectors"):
    found = generator(0, name).normal(size=shape)
    return torch.from_numpy((found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32))


def heads_of(method, seed=0):
    with seeded(seed, "heads"):
        heads = method.Heads(WIDTH, CLASSES, hidden=5, projected=3)
        torch.nn.init.normal_(heads.adapter[2].weight)  # so that the adapter does something
    return heads


def small_problem(each=12, views=4):
    """Four classes around four centres: two old ones, of which a third has labels, and two novel ones."""
    rng, centres = generator(0, "problem"), unit(CLASSES, WIDTH, name="centres").numpy()
    labels = np.repeat(np.arange(CLASSES), each)
    shape = (len(labels), views + 1, WIDTH)
    vectors = centres[labels][:, None] + rng.normal(0, 0.35, shape)
    vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    labelled = np.r_[0:4, each : each + 4]
    return SimpleNamespace(
        views=torch.from_numpy(vectors),
        labels=labels,
        classes=CLASSES,
        old=OLD,
        labelled=labelled,
        unlabelled=np.setdiff1d(np.arange(len(labels)), labelled),
        test=torch.from_numpy(vectors[::3, 1]),
    )


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


# --- the model and its losses -----------------------------------------------------------------------------------------


def test_heads_give_unit_vectors_and_cosines_and_begin_as_the_identity(method):
    x, heads = unit(3, 2, WIDTH), heads_of(method)
    z, cosines, projections = heads(x)
    moved = x + heads.adapter(x)
    torch.testing.assert_close(z, moved / moved.norm(dim=-1, keepdim=True))
    directions = heads.prototypes.weight / heads.prototypes.weight.norm(dim=1, keepdim=True)
    torch.testing.assert_close(cosines, torch.einsum("vnd,kd->vnk", z, directions))
    torch.testing.assert_close(projections.norm(dim=-1), torch.ones(3, 2))
    torch.testing.assert_close(method.Heads(WIDTH, CLASSES)(x)[0], x)
    kinds = [type(part).__name__ for part in method.Heads(WIDTH, CLASSES).projector]
    assert kinds == ["Linear", "GELU", "Linear", "GELU", "Linear"]


def contrastive_by_loops(projections, labels, temperature):
    projections, total = projections.double().numpy(), 0.0
    for i in range(len(projections)):
        others = [k for k in range(len(projections)) if k != i]
        below = sum(np.exp(projections[i] @ projections[k] / temperature) for k in others)
        shared = [j for j in others if labels[j] == labels[i]]
        logs = [np.log(np.exp(projections[i] @ projections[j] / temperature) / below) for j in shared]
        total -= sum(logs) / len(shared)
    return total / len(projections)


def cluster_by_loops(cosines, teacher_temperature, epsilon=2.0):
    cosines, total = cosines.double().detach().numpy(), 0.0
    student, teacher = softmax(cosines / 0.1), softmax(cosines / teacher_temperature)
    views, count, _ = cosines.shape
    for view, i in itertools.product(range(views), range(count)):
        total -= (teacher[1 - view, i] * np.log(student[view, i])).sum() / (views * count)
    mean = student.reshape(views * count, -1).mean(0)
    return total - epsilon * -(mean * np.log(mean)).sum()


def test_the_contrastive_loss_is_that_of_plain_loops(method):
    projections, labels = unit(7, 3), torch.tensor([0, 1, 0, 2, 1, 0, 2])
    for temperature in (0.07, 1.0):
        expected = contrastive_by_loops(projections, labels.tolist(), temperature)
        assert method.contrastive_loss(projections, labels, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_the_contrastive_loss_by_hand(method):
    # Two images with equal views at a right angle: the other view has exp(1), the two of the other image exp(0).
    projections = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    loss = method.contrastive_loss(projections, torch.tensor([0, 1, 0, 1]), 1.0)
    assert loss.item() == pytest.approx(np.log(1 + 2 / np.e), rel=1e-6)


def test_the_cluster_loss_is_that_of_plain_loops_and_does_not_move_the_teacher(method):
    cosines = unit(2, 5, 4, name="cosines").requires_grad_()
    loss = method.cluster_loss(cosines, 0.04)
    assert loss.item() == pytest.approx(cluster_by_loops(cosines, 0.04), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, cosines)
    fixed = (cosines.detach() / 0.04).softmax(-1).flip(0)
    student = (cosines / 0.1).log_softmax(-1)
    mean = student.exp().flatten(0, 1).mean(0)
    by_hand = -(fixed * student).sum(-1).mean() + 2 * (mean * mean.log()).sum()
    torch.testing.assert_close(gradient, torch.autograd.grad(by_hand, cosines)[0])


def test_a_model_that_says_nothing_has_the_cluster_loss_of_an_even_answer(method):
    assert method.cluster_loss(torch.zeros(2, 5, 4), 0.04).item() == pytest.approx((1 - 2) * np.log(4), rel=1e-6)


def test_the_whole_loss_is_its_parts_and_a_swap_of_the_views_changes_nothing(method):
    heads, views = heads_of(method), unit(2, 6, WIDTH)
    targets, labels = torch.tensor([3, 0, 2]), torch.tensor([1, 0, 1])
    loss = method.gcd_loss(heads, views, targets, labels, 0.05)
    _, cosines, projections = (part.detach() for part in heads(views))
    unsupervised = cluster_by_loops(cosines, 0.05)
    unsupervised += contrastive_by_loops(projections.reshape(12, -1), list(range(6)) * 2, 1.0)
    known = torch.cat([cosines[0, :3], cosines[1, :3]]).double().numpy()
    cross = -np.log(softmax(known / 0.1)[np.arange(6), targets.repeat(2).numpy()]).mean()
    supervised = cross + contrastive_by_loops(projections[:, :3].reshape(6, -1), labels.tolist() * 2, 0.07)
    assert loss.item() == pytest.approx(0.65 * unsupervised + 0.35 * supervised, rel=1e-5)
    torch.testing.assert_close(method.gcd_loss(heads, views.flip(0), targets, labels, 0.05), loss)


# --- questions --------------------------------------------------------------------------------------------------------


def asked_by_loops(p, old, budget, confident, diverse=True):
    predicted = [int(np.argmax(row)) for row in p]
    margin = [sorted(row)[-1] - sorted(row)[-2] for row in p]
    order = sorted(range(len(p)), key=lambda row: (-margin[row] if confident else margin[row], row))
    novel = [row for row in order if predicted[row] >= old]
    chosen = []
    if diverse:
        for c in range(old, len(p[0])):
            chosen += [row for row in novel if predicted[row] == c][: int(budget / (len(p[0]) - old))]
    for row in novel + [row for row in order if predicted[row] < old]:
        if len(chosen) < budget and row not in chosen:
            chosen.append(row)
    return chosen


def test_questions_are_those_of_plain_loops(method):
    for trial, confident, diverse in itertools.product(range(5), (True, False), (True, False)):
        p = softmax(generator(trial, "p").normal(0, 2, (40, 7)))
        for budget in (2, 4, 9, 13, 40):
            rows = method.novel_by_margin(p, 3, budget, confident, diverse)
            assert rows.tolist() == asked_by_loops(p.tolist(), 3, budget, confident, diverse)


def test_questions_by_hand(method):
    p = np.array([[0.1, 0.2, 0.7, 0.0], [0.0, 0.1, 0.5, 0.4], [0.1, 0.1, 0.0, 0.8], [0.9, 0.1, 0.0, 0.0]])
    assert method.novel_by_margin(p, 2, 2, confident=True).tolist() == [0, 2]  # one of each novel cluster
    assert method.novel_by_margin(p, 2, 2, confident=False).tolist() == [1, 2]
    assert method.novel_by_margin(p, 2, 2, confident=False, diverse=False).tolist() == [1, 0]
    assert method.novel_by_margin(p, 2, 1, confident=True).tolist() == [2]  # fewer than novel clusters: the order alone
    assert method.novel_by_margin(p, 2, 4, confident=True).tolist() == [
        0,
        1,
        2,
        3,
    ]  # an old one when novel ones run out


def test_equal_margins_go_to_the_first_row(method):
    p = np.tile([[0.1, 0.1, 0.6, 0.2]], (30, 1))
    assert method.novel_by_margin(p, 2, 3, confident=True).tolist() == [0, 1, 2]
    assert method.novel_by_margin(p, 2, 3, confident=False).tolist() == [0, 1, 2]


# --- the map ----------------------------------------------------------------------------------------------------------


def test_the_map_agrees_with_as_many_images_as_the_best_of_all_maps(method):
    for trial in range(20):
        predicted, labels = generator(trial, "map").integers(0, 4, (2, 30))
        agreed = lambda chosen: sum(chosen[label] == cluster for cluster, label in zip(predicted, labels, strict=True))  # noqa: E731, B023
        found = method.label_map(predicted, labels, 4)
        assert sorted(found.tolist()) == [0, 1, 2, 3]
        assert agreed(found) == max(agreed(chosen) for chosen in itertools.permutations(range(4)))


def test_the_map_leads_from_class_to_cluster(method):
    labels, cluster_of = np.repeat(np.arange(4), [5, 4, 3, 2]), np.array([2, 0, 3, 1])
    np.testing.assert_array_equal(method.label_map(cluster_of[labels], labels, 4), cluster_of)


def test_renaming_clusters_renames_the_map(method):
    labels = generator(0, "labels").integers(0, 4, 40)
    predicted = np.where(generator(0, "noise").random(40) < 0.3, generator(0, "other").integers(0, 4, 40), labels)
    renamed = np.array([3, 1, 0, 2])
    found = method.label_map(renamed[predicted], labels, 4)
    np.testing.assert_array_equal(found, renamed[method.label_map(predicted, labels, 4)])


# --- rounds -----------------------------------------------------------------------------------------------------------

SETTINGS = {"rounds": 2, "budget": 9, "epochs": 2, "rate": 0.1}


def odd_ones(p, z, known, old, budget, number, rng):
    """A strategy for tests that looks at all that it is given: doubtful rows, far from the known ones."""
    return np.argsort(p.max(1) + (z @ known.T).max(1) + 1e-3 * rng.random(len(p)))[:budget]


def rounds_by_hand(method, problem, base, seed, map_by, mixed=False):
    """The algorithm once more, in one straight piece: SGD with momentum, the average and the cosine are written out."""
    names = ("passes", "queried passes", "questions", "answers")
    passes, queried_passes, questions, _ = (generator(seed, name) for name in names)
    heads, ema = deepcopy(base), deepcopy(base)
    queried, found = [], []
    for number in (1, 2):
        with torch.no_grad():
            pool = [row for row in problem.unlabelled if row not in queried]
            z, cosines, _ = ema(problem.views[pool, 0])
            p = softmax(cosines.double().numpy() / 0.1)
            known_z = ema(problem.views[[*problem.labelled, *queried], 0])[0].numpy()
        queried += [pool[row] for row in odd_ones(p, z.numpy(), known_z, problem.old, 9, number, questions)]
        velocity = [torch.zeros_like(weight) for weight in heads.parameters()]
        for epoch in (0, 1):
            rate = 1e-4 + (0.1 - 1e-4) * (1 + np.cos(np.pi * epoch / 2)) / 2

            def move(loss, velocity=velocity, rate=rate):
                gradients = torch.autograd.grad(loss, list(heads.parameters()))
                with torch.no_grad():
                    for weight, speed, slope in zip(heads.parameters(), velocity, gradients, strict=True):
                        speed.mul_(0.9).add_(slope + 5e-5 * weight)
                        weight.sub_(rate * speed)
                    for mean, weight in zip(ema.parameters(), heads.parameters(), strict=True):
                        mean.copy_(0.9 * mean + 0.1 * weight)

            def targets_now(queried=tuple(queried)):
                if map_by == "none":
                    return problem.labels
                rows = np.array([*problem.labelled, *queried])
                with torch.no_grad():
                    clusters = (ema if map_by == "ema" else heads)(problem.views[rows, 0])[1].argmax(1).numpy()
                return method.label_map(clusters, problem.labels[rows], problem.classes)[problem.labels]

            def gcd_pass(known, targets, move=move):
                left = passes.choice(known, 64)
                views = method.two_views(problem, np.r_[left, passes.choice(problem.unlabelled, 64)], passes)
                about = torch.from_numpy(targets[left]), torch.from_numpy(problem.labels[left])
                move(method.gcd_loss(heads, views, *about, 0.04))

            if mixed:
                gcd_pass(np.array([*problem.labelled, *queried]), targets_now())
                continue
            gcd_pass(problem.labelled, problem.labels)
            targets = targets_now()
            order = queried_passes.permutation(queried)
            for rows in (order[:8], order[8:16], order[16:]):
                if len(rows):
                    _, cosines, projections = heads(method.two_views(problem, rows, queried_passes))
                    about = torch.from_numpy(targets[rows]), torch.from_numpy(problem.labels[rows])
                    move(0.35 * method.supervised_loss(cosines, projections, *about))
        with torch.no_grad():
            found.append(ema(problem.test)[1].argmax(1).numpy())
    return ema, np.array(found), np.array(queried)


def same_rounds(method, map_by, mixed):
    problem, base = small_problem(), heads_of(method, 1)
    ema, record = method.active_rounds(problem, base, odd_ones, 3, **SETTINGS, map_by=map_by, mixed=mixed)
    expected, found, queried = rounds_by_hand(method, problem, base, 3, map_by, mixed)
    np.testing.assert_array_equal(record["asked"].ravel(), queried)
    np.testing.assert_array_equal(record["found"][1:, 0], found)
    for weight, by_hand in zip(ema.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(weight, by_hand, rtol=1e-4, atol=1e-5)


def test_rounds_are_those_written_out_by_hand(method):
    for map_by in ("ema", "student", "none"):
        same_rounds(method, map_by, mixed=False)
    same_rounds(method, "ema", mixed=True)


def test_the_base_model_stays_as_it_was_and_a_second_run_gives_the_same(method):
    problem, base = small_problem(), heads_of(method)
    before = [weight.clone() for weight in base.parameters()]
    runs = [method.active_rounds(problem, base, odd_ones, 3, **SETTINGS)[1] for _ in range(2)]
    assert all(torch.equal(was, weight) for was, weight in zip(before, base.parameters(), strict=True))
    for name in ("found", "asked", "maps"):
        np.testing.assert_array_equal(runs[0][name], runs[1][name])
    assert runs[0]["found"].shape == (3, 2, len(problem.test))
    assert runs[0]["maps"].shape == (1 + 4, CLASSES)


def test_no_question_is_asked_twice_and_none_about_a_label_that_is_there(method):
    problem = small_problem()
    settings = SETTINGS | {"rounds": 5, "budget": 8, "epochs": 1}
    asked = method.active_rounds(problem, heads_of(method), odd_ones, 0, **settings)[1]["asked"]
    assert sorted(asked.ravel()) == sorted(problem.unlabelled)


def test_without_questions_labels_of_the_pool_do_not_matter(method):
    problem, base = small_problem(), heads_of(method)
    wrong = deepcopy(problem)
    wrong.labels[wrong.unlabelled] = 0
    runs = [method.active_rounds(some, base, None, 0, **SETTINGS)[1] for some in (problem, wrong)]
    np.testing.assert_array_equal(runs[0]["found"], runs[1]["found"])
    assert runs[0]["asked"].size == 0


def test_a_lie_deals_out_anew_the_answers_of_one_round(method):
    problem, seen = small_problem(), []
    settings = SETTINGS | {"budget": 10, "epochs": 1}

    def watching(predicted, labels, classes):
        seen.append(labels[len(problem.labelled) :])
        return np.arange(classes)

    method.label_map, kept = watching, method.label_map
    try:
        asked = method.active_rounds(problem, heads_of(method), odd_ones, 0, **settings, lies=True)[1]["asked"]
    finally:
        method.label_map = kept
    for said, about in zip((seen[0], seen[1][10:]), asked, strict=True):
        assert sorted(said) == sorted(problem.labels[about])
    np.testing.assert_array_equal(seen[1][:10], seen[0])
    assert (seen[1] != problem.labels[asked.ravel()]).any()


def test_two_views_are_different_augmented_views_of_the_row_and_all_pairs_occur(method):
    problem = SimpleNamespace(views=torch.arange(3 * 5.0).reshape(3, 5, 1))
    views = method.two_views(problem, np.repeat([0, 2], 300), generator(0, "views"))[..., 0].numpy()
    assert views.shape == (2, 600)
    pairs = {(int(first), int(second)) for first, second in views.T}
    every = {*itertools.permutations(range(1, 5), 2), *itertools.permutations(range(11, 15), 2)}
    assert pairs == every


def test_probabilities_have_the_temperature_of_the_students_answer(method):
    heads, x = heads_of(method), unit(5, WIDTH)
    z, p = method.seen_by(heads, x)
    directions = normalize(heads.prototypes.weight, dim=1).detach().double().numpy()
    np.testing.assert_allclose(p, softmax(z @ directions.T / 0.1), rtol=1e-4)


MUTATIONS = [
    ("normalize(x + self.adapter(x), dim=-1)", "normalize(self.adapter(x), dim=-1)"),
    ("z @ normalize(self.prototypes.weight, dim=-1).T", "z @ self.prototypes.weight.T"),
    ("normalize(self.projector(z), dim=-1)", "self.projector(z)"),
    ("nn.init.zeros_(self.adapter[2].bias)", "nn.init.ones_(self.adapter[2].bias)"),
    ("for part in (nn.Linear(*pair), nn.GELU())][:-1]", "for part in (nn.Linear(*pair), nn.GELU())]"),
    ("fill_diagonal_(-1e9)", "fill_diagonal_(1.0)"),
    ("fill_diagonal_(False)", "fill_diagonal_(True)"),
    ("similarity.log_softmax(1)).sum(1) / positive.sum(1)", "similarity.log_softmax(1)).sum(1) / len(labels)"),
    ("projections @ projections.T / temperature", "projections @ projections.T * temperature"),
    (".softmax(-1).flip(0)", ".softmax(-1)"),
    ("cosines.detach() / teacher_temperature", "cosines / teacher_temperature"),
    ("student.exp().mean((0, 1))", "student.exp().mean((0, 1)).detach()"),
    ("epsilon * (mean * mean.log()).sum()", "-epsilon * (mean * mean.log()).sum()"),
    ("targets.repeat(2))\n", "targets.repeat_interleave(2))\n"),
    ("labels.repeat(2), 0.07)", "targets.repeat(2), 0.07)"),
    ("itself, 1.0)", "itself, 0.07)"),
    ("(1 - weight) * unsupervised + weight *", "weight * unsupervised + (1 - weight) *"),
    ("-margin if confident else margin", "margin if confident else -margin"),
    ("ranked[:, -1] - ranked[:, -2]", "ranked[:, -1] - ranked[:, 0]"),
    ("order[np.argsort(predicted[order] < old", "order[np.argsort(predicted[order] >= old"),
    ('(predicted[order] < old, kind="stable")', '(predicted[order] < old, kind="stable")[::-1]'),
    ("budget // (p.shape[1] - old)", "-(-budget // (p.shape[1] - old))"),
    ("~np.isin(order, first)", "np.isin(order, order)"),
    ("for c in range(old, p.shape[1])", "for c in range(p.shape[1])"),
    ("linear_sum_assignment(-counts)", "linear_sum_assignment(counts)"),
    ("(counts, (predicted, labels), 1)", "(counts, (labels, predicted), 1)"),
    ("cluster[np.argsort(label)]", "label[np.argsort(cluster)]"),
    ("(cosines / 0.1).softmax(-1).double()", "cosines.softmax(-1).double()"),
    ("rng.integers(1, count,", "rng.integers(0, count,"),
    ("1 + np.stack([first", "np.stack([first"),
    ("momentum=0.9", "momentum=0.0"),
    ("mean.lerp_(now, 0.1)", "mean.lerp_(now, 0.9)"),
    ("rng.choice(self.problem.unlabelled, size // 2)", "rng.choice(known, size // 2)"),
    ("range(size, len(queried), size)", "range(size, len(queried), 2 * size)"),
    ("self.step(weight * supervised_loss", "self.step(supervised_loss"),
    ("np.setdiff1d(problem.unlabelled, asked)", "problem.unlabelled"),
    ("seen_by(ema, problem.views[pool, 0])", "seen_by(heads, problem.views[pool, 0])"),
    ("answers.permutation(labels[new]) if lies", "answers.permutation(labels[new]) if not lies"),
    ('{"ema": ema, "student": heads}', '{"ema": heads, "student": ema}'),
    ("label_map(clusters, labels[known]", "label_map(clusters, problem.labels[: len(known)]"),
    ("training.gcd_pass(problem.labelled, labels, labels", "training.gcd_pass(known, labels, labels"),
    ("queried_pass(asked.ravel(), maps[-1][labels], labels,", "queried_pass(asked.ravel(), labels, labels,"),
    ("            training.schedule.step()", "            pass"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
