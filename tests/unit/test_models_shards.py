"""Vectors on disk: the same as in memory, resumed after an interruption, and memory that does not grow with them."""

import json
import subprocess
import sys

import numpy as np
import pytest

from finegrain import InputError
from finegrain.models import encode_to_disk
from finegrain.search import exact_search


class Letters:
    """Counts letters; a user's own encoder with all that resuming needs."""

    width = 26

    def __init__(self, version=1):
        self.version, self.asked = version, []

    def memo_content(self):
        return [self.version]

    def encode_text(self, texts):
        self.asked.append(len(texts))
        counts = [[text.count(chr(97 + letter)) + 0.1 for letter in range(26)] for text in texts]
        return (np.array(counts) / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)


TEXTS = [f"{'abc'[row % 3] * (row % 7 + 1)} xyz" for row in range(25)]


def test_the_vectors_are_those_of_one_call(tmp_path):
    encoder = Letters()
    vectors = encode_to_disk(encoder, iter(TEXTS), 25, tmp_path, shard=10)
    np.testing.assert_array_equal(vectors, Letters().encode_text(TEXTS))
    assert encoder.asked == [10, 10, 5]
    assert isinstance(vectors, np.memmap)


def test_an_interrupted_call_goes_on_behind_the_last_whole_shard(tmp_path):
    class Stops(Letters):
        def encode_text(self, texts):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().encode_text(texts)

    with pytest.raises(KeyboardInterrupt):
        encode_to_disk(Stops(), TEXTS, 25, tmp_path, shard=10)
    again = Letters()
    vectors = encode_to_disk(again, TEXTS, 25, tmp_path, shard=10)
    assert again.asked == [5]
    np.testing.assert_array_equal(vectors, Letters().encode_text(TEXTS))


def test_other_texts_and_another_encoder_are_encoded_again(tmp_path):
    encode_to_disk(Letters(), TEXTS, 25, tmp_path, shard=10)
    changed = Letters()
    vectors = encode_to_disk(changed, [*TEXTS[:12], "zzz", *TEXTS[13:]], 25, tmp_path, shard=10)
    assert changed.asked == [10]
    assert vectors[12].argmax() == 25
    other = Letters(version=2)
    encode_to_disk(other, TEXTS, 25, tmp_path, shard=10)
    assert other.asked == [10, 10, 5]


@pytest.mark.parametrize(
    ("count", "message"), [(24, "more than the 24 texts"), (26, "25 texts, and 26 were announced")]
)
def test_another_number_of_texts_is_refused(tmp_path, count, message):
    with pytest.raises(InputError, match=message):
        encode_to_disk(Letters(), TEXTS, count, tmp_path, shard=10)


def test_a_damaged_state_is_made_anew(tmp_path):
    encode_to_disk(Letters(), TEXTS, 25, tmp_path, shard=10)
    (tmp_path / "state.json").write_text("{")
    again = Letters()
    encode_to_disk(again, TEXTS, 25, tmp_path, shard=10)
    assert again.asked == [10, 10, 5]


def test_search_in_blocks_of_a_memory_map_is_search_in_memory(tmp_path, monkeypatch):
    from finegrain.search import dense

    rng = np.random.default_rng(0)
    documents = np.round(rng.normal(size=(300, 4)), 1).astype(np.float32)  # with ties
    queries = np.round(rng.normal(size=(7, 4)), 1).astype(np.float32)
    ids, asked = [f"d{row:03}" for row in rng.permutation(300)], list("abcdefg")
    whole = exact_search(queries, documents, asked, ids, k=20)
    expected = [
        sorted(range(300), key=lambda row: (-np.round(query @ documents[row], 6), ids[row]))[:20] for query in queries
    ]
    assert whole["document_id"].tolist() == [ids[row] for rows in expected for row in rows]
    np.save(tmp_path / "documents.npy", documents)
    monkeypatch.setattr(dense, "_QUERIES", 3)
    monkeypatch.setattr(dense, "_DOCUMENTS", 64)
    mapped = exact_search(queries, np.load(tmp_path / "documents.npy", mmap_mode="r"), asked, ids, k=20)
    assert mapped.equals(whole)


MEMORY = """
import json, sys
import numpy as np
from finegrain.models import encode_to_disk
from finegrain.search import exact_search
count, width = int(sys.argv[2]), 384
class Random:
    width = 384
    def memo_content(self): return ["random"]
    def encode_text(self, texts):
        found = np.random.default_rng(len(texts[0])).normal(size=(len(texts), self.width)).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)
vectors = encode_to_disk(Random(), (f"text {row}" for row in range(count)), count, sys.argv[1])
run = exact_search(vectors[:5], vectors, list("abcde"), [str(row) for row in range(count)], k=10)
lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps([len(run), int(lines["RssAnon"].split()[0]) / 1024]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_vectors(tmp_path):
    """The vectors of 100,000 texts take 146 MB; what the process keeps beyond the map stays far below that."""
    kept = []
    for count in (10_000, 100_000):
        command = [sys.executable, "-c", MEMORY, str(tmp_path / str(count)), str(count)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert found[0] == 50
        kept.append(found[1])
    assert kept[1] - kept[0] < 60
