"""Decoder, boxes, losses and scores of grounded descriptions against loops that one can read; folders and bad input."""

import ast
import itertools
import json
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import softmax

from finegrain import InputError
from finegrain.run import notebooks, parameters
from finegrain.seeding import generator, seeded

NOTEBOOK = "vision_language/grain"

WIDTH, DIM, QUERIES, TOKENS = 5, 8, 3, 7


def vectors(*shape, name="vectors"):
    return torch.from_numpy(generator(0, name).normal(size=shape).astype(np.float32))


def unit(*shape, name="unit"):
    found = vectors(*shape, name=name)
    return found / found.norm(dim=-1, keepdim=True)


def some_boxes(*shape, name="boxes"):
    """Boxes well inside the image, as centre and size."""
    rng = generator(0, name)
    return torch.from_numpy(
        np.concatenate([rng.uniform(0.3, 0.7, (*shape, 2)), rng.uniform(0.1, 0.5, (*shape, 2))], -1)
    )


def head_of(method, **settings):
    with seeded(0, "head"):
        return method.Grain(WIDTH, DIM, **{"queries": QUERIES, "layers": 2, "heads": 2} | settings)


# --- the decoder ------------------------------------------------------------------------------------------------------


def attention_by_hand(layer, query, key, value, heads=2):
    """Multi-head attention as the equations have it, head by head, for one image."""
    weights, biases = layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3)
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), weights, biases, strict=True))
    size, found, where = q.shape[1] // heads, [], []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        share = softmax(q[:, part] @ k[:, part].T / size**0.5, dim=-1)
        found.append(share @ v[:, part])
        where.append(share)
    return layer.out_proj(torch.cat(found, 1)), sum(where) / heads


def test_the_decoder_is_that_of_the_equations(method):
    head, tokens = head_of(method), vectors(2, TOKENS, WIDTH)
    images, regions, boxes, where = head(tokens, maps=True)
    for row, one in enumerate(tokens):
        memory = head.norm(one @ head.input.weight.T)
        target, place = torch.zeros(QUERIES + 1, DIM), head.queries
        for layer in head.layers:
            seen, _ = attention_by_hand(layer.among, target + place, target + place, target)
            target = layer.norms[0](target + seen)
            seen, looked = attention_by_hand(layer.to_image, target + place, memory, memory)
            target = layer.norms[1](target + seen)
            target = layer.norms[2](target + layer.feed(target))
        torch.testing.assert_close(images[row], target[-1] @ head.image.weight.T, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(regions[row], target[:-1] @ head.region.weight.T, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(boxes[row], 1 / (1 + torch.exp(-head.box(target[:-1]))), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(where[row], looked, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(head(tokens)[0], images)


def test_the_parts_are_those_of_the_paper(method):
    head = method.Grain(WIDTH, DIM)
    assert head.queries.shape == (6, DIM)
    assert [type(part).__name__ for part in head.box] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [type(part).__name__ for part in head.layers[0].feed] == ["Linear", "ReLU", "Linear"]
    assert (head.input.bias, head.image.bias, head.region.bias) == (None, None, None)


def test_the_order_of_the_image_s_tokens_does_not_count(method):
    head, tokens, order = head_of(method), vectors(2, TOKENS, WIDTH), torch.tensor([3, 1, 6, 0, 2, 5, 4])
    for ours, theirs in zip(head(tokens), head(tokens[:, order]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_region_queries_may_change_places_and_the_image_s_vector_hears_of_them(method):
    head, tokens, order = head_of(method), vectors(2, TOKENS, WIDTH), [2, 0, 1]
    images, regions, boxes = head(tokens)
    with torch.no_grad():
        head.queries[:QUERIES] = head.queries[order].clone()
    moved = head(tokens)
    torch.testing.assert_close(moved[0], images, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved[1], regions[:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved[2], boxes[:, order], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        head.queries[0] += 1
    assert not torch.allclose(head(tokens)[0], images, atol=1e-3)


# --- boxes ------------------------------------------------------------------------------------------------------------


def test_overlaps_are_those_of_torchvision(method):
    from torchvision.ops import box_convert, box_iou, generalized_box_iou

    first, second = some_boxes(6, name="first"), some_boxes(4, name="second")
    giou, iou = method.overlap(first[:, None], second[None])
    corners = [box_convert(boxes, "cxcywh", "xyxy") for boxes in (first, second)]
    torch.testing.assert_close(giou, generalized_box_iou(*corners))
    torch.testing.assert_close(iou, box_iou(*corners))


def test_two_boxes_by_hand(method):
    left, right = torch.tensor([0.25, 0.5, 0.5, 1.0]), torch.tensor([0.5, 0.5, 0.5, 1.0])
    giou, iou = method.overlap(left, right)  # they share half of each, and the hull is their union
    assert (giou.item(), iou.item()) == pytest.approx((1 / 3, 1 / 3))
    giou, iou = method.overlap(torch.tensor([0.1, 0.5, 0.2, 1.0]), torch.tensor([0.9, 0.5, 0.2, 1.0]))
    assert (giou.item(), iou.item()) == pytest.approx((-0.6, 0.0))  # 0.6 of the hull lies between them


def cost_by_loop(predicted, boxes, method):
    apart = sum(abs(a - b) for a, b in zip(predicted.tolist(), boxes.tolist(), strict=True))
    return 5 * apart - 2 * method.overlap(predicted, boxes)[0].item()


def test_the_match_is_the_cheapest_of_all(method):
    predicted, boxes = some_boxes(5, 4, name="predicted"), some_boxes(5, 4, name="true")
    there = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]]).bool()
    pairs = method.matched(predicted, boxes, there)
    for image in range(5):
        regions = torch.nonzero(there[image]).ravel().tolist()
        costs = {
            order: sum(
                cost_by_loop(predicted[image, q], boxes[image, r], method) for q, r in zip(order, regions, strict=True)
            )
            for order in itertools.permutations(range(4), len(regions))
        }
        best = min(costs, key=costs.get)
        mine = {(q, r) for i, q, r in pairs.tolist() if i == image}
        assert mine == set(zip(best, regions, strict=True))


def test_distance_and_overlap_both_decide_a_match(method):
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.0, 0.0, 0.0, 0.0]]])
    predicted = torch.tensor([[[0.5, 0.5, 0.5, 0.5], [0.61, 0.61, 0.2, 0.2]]])  # around it, or beside it
    pairs = method.matched(predicted, boxes, torch.tensor([[True, False]]))
    costs = [cost_by_loop(predicted[0, q], boxes[0, 0], method) for q in (0, 1)]
    assert costs[1] < costs[0]
    assert pairs.tolist() == [[0, 1, 0]]


def test_the_box_loss_is_a_mean_over_pairs(method):
    predicted, boxes = some_boxes(2, 3, name="predicted"), some_boxes(2, 3, name="true")
    pairs = torch.tensor([[0, 2, 0], [0, 0, 1], [1, 1, 2]])
    expected = 0.0
    for image, query, region in pairs.tolist():
        ours, theirs = predicted[image, query], boxes[image, region]
        expected += (ours - theirs).abs().sum().item() + 1 - method.overlap(ours, theirs)[0].item()
    assert method.box_loss(predicted, boxes, pairs).item() == pytest.approx(expected / 3)
    assert method.box_loss(predicted, predicted, torch.tensor([[0, 1, 1], [1, 0, 0]])).item() == pytest.approx(
        0, abs=1e-6
    )
    assert method.box_loss(predicted, boxes, pairs[:0]).item() == 0


# --- texts ------------------------------------------------------------------------------------------------------------


def log_shares(images, texts, scale):
    """(n, m) log softmax over the texts, in numpy."""
    images, texts = (
        x.double().numpy() / np.linalg.norm(x.double().numpy(), axis=1, keepdims=True) for x in (images, texts)
    )
    logits = scale * images @ texts.T
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def test_the_contrastive_loss_is_that_of_a_plain_loop(method):
    images, texts, scale = vectors(4, DIM, name="images"), vectors(3, DIM, name="texts"), 5.0
    true = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]]).bool()
    by_image, by_text = log_shares(images[:3], texts, scale), log_shares(texts, images, scale)
    first = [-np.mean([by_image[i, t] for t in range(3) if true[i, t]]) for i in range(3)]
    second = [-np.mean([by_text[t, i] for i in range(4) if true[i, t]]) for t in range(3)]
    found = method.contrastive_loss(images, texts, true, scale).item()
    assert found == pytest.approx((np.mean(first) + np.mean(second)) / 2, rel=1e-5)


def test_with_one_text_an_image_it_is_the_loss_of_open_clip(method):
    from open_clip.loss import ClipLoss

    images, texts = unit(6, DIM, name="images"), unit(6, DIM, name="texts")
    expected = ClipLoss()(images, texts, 14.0)
    torch.testing.assert_close(method.contrastive_loss(3 * images, 2 * texts, torch.eye(6).bool(), 14.0), expected)


PHRASES = torch.tensor([[0, 2, -1], [1, 2, 0]])
PAIRS = torch.tensor([[0, 1, 0], [0, 2, 1], [1, 0, 0], [1, 1, 1], [1, 2, 2]])


def test_the_description_loss_asks_among_all_distinct_texts(method):
    regions, texts, scale = vectors(2, 3, DIM, name="regions"), vectors(4, DIM, name="texts"), 3.0
    total = 0.0
    for image, query, region in PAIRS.tolist():
        total -= log_shares(regions[image, query][None], texts, scale)[0, PHRASES[image, region]]
    found = method.description_loss(regions, texts, PHRASES, PAIRS, scale).item()
    assert found == pytest.approx(total / len(PAIRS), rel=1e-5)
    assert method.description_loss(regions, texts, PHRASES, PAIRS[:0], scale).item() == 0


def parts_of_the_loss(method):
    found = vectors(2, DIM, name="images"), vectors(2, 3, DIM, name="regions"), some_boxes(2, 3, name="predicted")
    captions, texts = vectors(2, DIM, name="captions"), vectors(3, DIM, name="texts")
    return found, captions, torch.eye(2).bool(), texts, PHRASES, some_boxes(2, 3, name="true"), 4.0


def test_the_loss_is_the_sum_of_its_parts(method):
    found, captions, true, texts, phrases, boxes, scale = given = parts_of_the_loss(method)
    pairs = method.matched(found[2], boxes, phrases >= 0)
    assert len(pairs) == 5
    whole = method.contrastive_loss(found[0], captions, true, scale)
    box = method.box_loss(found[2], boxes, pairs)
    told = method.description_loss(found[1], texts, phrases, pairs, scale)
    torch.testing.assert_close(method.grain_loss(*given), whole + box + told)
    torch.testing.assert_close(method.grain_loss(*given, parts=("box",)), whole + box)
    torch.testing.assert_close(method.grain_loss(*given, parts=("description",)), whole + told)
    torch.testing.assert_close(method.grain_loss(*given, parts=()), whole)


def test_images_without_regions_leave_the_caption_loss(method):
    found, captions, true, texts, phrases, boxes, scale = parts_of_the_loss(method)
    nothing = torch.full_like(phrases, -1)
    expected = method.contrastive_loss(found[0], captions, true, scale)
    torch.testing.assert_close(
        method.grain_loss(found, captions, true, texts[:0], nothing, boxes, scale), expected.double()
    )


# --- recognition ------------------------------------------------------------------------------------------------------

OWNER = torch.tensor([0, 0, 0, 1, 2, 2])  # three classes with 3, 1 and 2 descriptors


def test_scores_are_those_of_a_plain_loop(method):
    regions, texts = unit(4, 3, DIM, name="regions"), unit(6, DIM, name="texts")
    means, scores = method.class_means(texts, OWNER), method.region_scores(regions, texts, OWNER)
    for c in range(3):
        mine = [m for m in range(6) if OWNER[m] == c]
        torch.testing.assert_close(means[c], sum(texts[m] for m in mine) / len(mine))  # not scaled again
        for image in range(4):
            best = [max((regions[image, q] @ texts[m]).item() for m in mine) for q in range(3)]
            assert scores[image, c].item() == pytest.approx(np.mean(best), abs=1e-6)


def test_one_descriptor_a_class_leaves_the_mean_over_queries(method):
    regions, texts = unit(4, 3, DIM, name="regions"), unit(5, DIM, name="texts")
    torch.testing.assert_close(method.class_means(texts, torch.arange(5)), texts)
    torch.testing.assert_close(method.region_scores(regions, texts, torch.arange(5)), (regions @ texts.T).mean(1))


def test_alpha_goes_from_regions_to_the_whole_image(method):
    whole, regional = vectors(4, 3, name="whole").numpy(), vectors(4, 3, name="regional").numpy()
    np.testing.assert_array_equal(method.mixed(whole, regional, 1.0), whole)
    np.testing.assert_array_equal(method.mixed(whole, regional, 0.0), regional)
    np.testing.assert_allclose(method.mixed(whole, regional, 0.25), (whole + 3 * regional) / 4, rtol=1e-6)


# --- the notebook's own functions: folders and bad input --------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook() -> ModuleType:
    """All functions, classes, imports and constants of the notebook; nothing that computes."""
    book = notebooks.find(NOTEBOOK)
    module = ModuleType(NOTEBOOK)
    vars(module).update({name: parameter.default for name, parameter in parameters.declared(book).items()})
    vars(module)["device"] = "cpu"
    wanted = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    names = {"SIDE", "QUERIES", "EM", "SHEET", "EM, SHEET, SIDE", "SCRIPTS"}
    for cell in book.cells:
        if cell.kind == "code" and "parameters" not in cell.tags:
            for statement in ast.parse(cell.source).body:
                is_constant = (
                    isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]).strip("()") in names
                )
                if isinstance(statement, wanted) or is_constant:
                    exec(compile(ast.unparse(statement), f"<{NOTEBOOK}>", "exec"), vars(module))
    return module


def folder_of(path, categories, images, annotations):
    for number in {image["file_name"] for image in images}:
        Image.new("RGB", (20, 10), (200, 100, 0)).save(path / number)
    told = {"categories": categories, "images": images, "annotations": annotations}
    (path / "regions.json").write_text(json.dumps(told))
    return path


BIRDS = [
    {"id": 7, "name": "heron", "descriptors": ["a long neck", "gray plumage"], "fold": "train"},
    {"id": 8, "name": "wren", "descriptors": ["a short tail"], "fold": "test"},
    {"id": 9, "name": "stork", "descriptors": ["red legs"], "fold": "test"},
]
PICTURES = [
    {"id": 1, "file_name": "a.png", "category_id": 7, "captions": ["a bird", "a tall bird by the water"]},
    {"id": 2, "file_name": "b.png", "category_id": 8},
    {"id": 3, "file_name": "c.png", "category_id": 9},
]
MARKED = [
    {"image_id": 1, "bbox": [5, 0, 10, 5], "description": "- a long neck", "score": 0.4},
    {"image_id": 1, "bbox": [0, 0, 20, 10], "description": "gray plumage", "score": 0.9},
]


def test_a_folder_gives_boxes_as_shares_and_the_surest_regions_first(notebook, tmp_path):
    world = notebook.read_regions(folder_of(tmp_path, BIRDS, PICTURES, MARKED), 12, False)
    train = world["train"]
    assert train.images.shape == (1, 12, 12, 3)
    assert [train.vocabulary[row] for row in train.phrases[0] if row >= 0] == ["gray plumage", "a long neck"]
    np.testing.assert_allclose(train.boxes[0, :3], [[0.5, 0.5, 1, 1], [0.5, 0.25, 0.5, 0.5], [0, 0, 0, 0]])
    assert train.captions == (("a bird", "a tall bird by the water"),)
    assert world["test"].captions == (("a photo of a wren",), ("a photo of a stork",))
    assert world["dev"] is None
    asked = notebook.checked(world["test"], "test")
    assert asked.classes["name"].tolist() == ["wren", "stork"]
    assert asked.labels.tolist() == [0, 1]


def changed(rows, place, **values):
    return [row | values if number == place else row for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("categories", "images", "annotations", "words"),
    [
        (changed(BIRDS, 2, name="wren"), PICTURES, MARKED, "two classes are called 'wren'"),
        (changed(BIRDS, 2, descriptors=[]), PICTURES, MARKED, "'stork' has no descriptors"),
        (BIRDS, PICTURES[:2], MARKED, "shows 1 class"),
        (BIRDS, PICTURES[:1], MARKED, "shows 0 class"),
        (BIRDS, PICTURES, changed(MARKED, 0, bbox=[5, 0, 0, 5]), "has no area"),
        (BIRDS, PICTURES, changed(MARKED, 0, image_id=99), "regions.json lacks or misspells 99"),
    ],
)
def test_a_folder_that_cannot_be_asked_is_refused_in_one_sentence(
    notebook, tmp_path, categories, images, annotations, words
):
    folder = folder_of(tmp_path, categories, images, annotations)
    with pytest.raises(InputError, match=words):
        notebook.checked(notebook.read_regions(folder, 12, True)["test"], "test")


def test_a_folder_without_regions_json_is_refused(notebook, tmp_path):
    with pytest.raises(InputError, match="no regions"):
        notebook.read_regions(tmp_path, 12, True)


def test_vectors_that_are_no_numbers_are_refused(notebook):
    with pytest.raises(InputError, match="NaN"):
        notebook.finite(torch.tensor([[1.0, float("nan")]]), "the images'")
    assert notebook.finite(torch.ones(2, 2), "the images'").sum() == 4


def test_frozen_towers_give_all_tokens_and_train_one_map(notebook):
    from open_clip import CLIP

    vision = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64}
    text = {"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1}
    for towers in (vision, vision | {"layers": [1, 1, 1, 1], "width": 8, "head_width": 16}):
        with seeded(0, "clip"):
            model = CLIP(embed_dim=16, vision_cfg=towers, text_cfg=text).eval()
        pixels = SimpleNamespace(
            width=16, model=model, device="cpu", _pixels=lambda images: vectors(len(images), 3, 64, 64)
        )
        frozen = notebook.Frozen(pixels)
        tokens = frozen.tokens(np.zeros((2, 64, 64, 3), np.uint8))
        assert tokens.shape[::2] == (2, frozen.width)
        assert not tokens.requires_grad
        assert tokens.shape[1] == (16 if towers is vision else 4)
        assert [name for name, _ in frozen.named_parameters()] == ["out.weight"]
        torch.testing.assert_close(frozen.texts(unit(3, 16)), unit(3, 16))


def test_a_drawing_s_boxes_hold_the_letter_and_its_marks(notebook):
    ink, boxes = notebook.drawn_with_boxes("ǘ", "DejaVu Sans")  # u, diaeresis, acute: each above the one before
    whole, letter, first, second = boxes
    assert (ink > 64).sum() == (ink[whole[1] : whole[3], whole[0] : whole[2]] > 64).sum()
    assert letter[1] >= first[3] >= first[1] >= second[3] - 1 >= second[1] >= whole[1]
    assert notebook.chain("ǘ") == ["u", "ü", "ǘ"]
    assert notebook.chain("e") == ["e"]


def test_a_detector_s_errors_have_their_rates(notebook):
    shape = (4000, 5)
    boxes = np.full((*shape, 4), 0.5, np.float32)
    train = type("Train", (), {"boxes": boxes, "phrases": np.tile(np.arange(5), (4000, 1))})
    moved, phrases = notebook.detected(train, 1.0, generator(0, "detector"))
    assert (moved - boxes).std() == pytest.approx(0.05, rel=0.05)  # 10 % of a side of 0.5
    assert (phrases < 0).mean() == pytest.approx(0.15, rel=0.1)
    swapped = ((phrases != np.arange(5)) & (phrases >= 0)).any(1)
    assert swapped.mean() == pytest.approx(0.05, rel=0.25)
    same, kept = notebook.detected(train, 0.0, generator(0, "detector"))
    np.testing.assert_array_equal(same, boxes)
    np.testing.assert_array_equal(kept, train.phrases)


MUTATIONS = [
    ("query = target + position\n        target = self.norms[0](", "query = target\n        target = self.norms[0]("),
    ("self.among(query, query, target,", "self.among(query, query, query,"),
    ("self.to_image(target + position, memory", "self.to_image(target, memory"),
    ("self.norms[2](target + self.feed(target))", "self.norms[2](self.feed(target))"),
    ("self.norm(self.input(tokens))", "self.input(tokens)"),
    ("torch.randn(queries + 1, dim)", "torch.randn(queries + 2, dim)"),
    ("self.image(target[:, -1])", "self.image(target[:, 0])"),
    ("self.box(regions).sigmoid()", "self.box(regions)"),
    (".clamp(min=0).prod(-1)", ".prod(-1)"),
    ("common / union - (around - union) / around", "common / union"),
    ("- common\n", "\n"),
    ("5 * apart - 2 * overlap", "5 * apart + 2 * overlap"),
    ("5 * apart - 2 * overlap", "5 * apart - 20 * overlap"),
    ("5 * apart - 2", "0 * apart - 2"),
    ("np.flatnonzero(real)", "np.arange(real.sum())"),
    ("(1 - overlap(ours, theirs)[0]).sum()", "(1 - overlap(ours, theirs)[0]).mean()"),
    ("predicted[image, query], boxes[image, region]", "predicted[image, region], boxes[image, query]"),
    ("normalize(first.float(), dim=-1)", "first.float()"),
    ("right[some] / right[some].sum(1, keepdim=True)", "right[some]"),
    ("(right / right.sum(0)).T)) / 2", "(right / right.sum(0)).T))"),
    ("some = right.any(1)", "some = right.any(1) | True"),
    ("regions[image, query], texts)", "regions[image, region], texts)"),
    ('reduction="sum") / max(1, len(pairs))', 'reduction="sum") / len(texts)'),
    ('if "box" in parts', 'if "description" in parts and "box" in parts'),
    ("phrases >= 0)", "phrases > 0)"),
    ("texts[owner == c].mean(0)", "texts[owner == c].sum(0)"),
    (".amax(-1).mean(1)", ".mean(-1).mean(1)"),
    (".amax(-1).mean(1)", ".amax(-1).amax(1)"),
    ("(1 - alpha) * regional", "regional"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
