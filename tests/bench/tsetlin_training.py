"""Training speed of the notebook's Tsetlin machine against pyTsetlinMachineParallel, both in one process.

    PYTHONPATH=lib python tests/bench/tsetlin_training.py [rounds]

The peer is a source package and no part of the lock: `pip install --no-build-isolation pyTsetlinMachineParallel==0.2.1`.
Ours runs on one thread. Rounds alternate between the two, so that whatever else the machine does falls on both.
"""

import ctypes
import os
import sys
import time

import numpy as np

# 3,000 documents with 60 of 2,000 terms, 10 classes; and what both machines are told.
TEXTS, TERMS, CLASSES, CLAUSES, T, S, EPOCHS = 3000, 2000, 10, 200, 100, 5.0, 3


def documents(seed, count=TEXTS):
    """Terms (N, F) bool and classes (N,): a class makes three terms in a hundred frequent."""
    rng, of_class = np.random.default_rng(seed), np.random.default_rng(0).random((CLASSES, TERMS)) < 0.03
    labels = rng.integers(0, CLASSES, count)
    held = rng.random((count, TERMS)) < 0.02
    return held | (of_class[labels] & (rng.random((count, TERMS)) < 0.25)), labels


def ours():
    """A function (x, labels, seed) -> machine that trains the notebook's machine, and one that asks it."""
    import numba

    from finegrain.run import notebooks

    method = {"np": np, "njit": numba.njit}
    for cell in notebooks.find("text_classification/tsetlin").tagged("method"):
        exec(compile(cell.source, f"<{cell.id}>", "exec"), method)

    def train(x, labels, seed):
        literals = method["packed"](x)
        settings = {"clauses": CLAUSES, "T": T, "s": S, "boost": True, "bits": 8}
        rng = np.random.default_rng(seed)
        machine = method["TsetlinMachine"](CLASSES, literals[0].shape[1], **settings, rng=rng)
        for _ in range(EPOCHS):
            machine.epoch(literals, labels)
        return machine

    return train, lambda machine, x: machine.votes(method["packed"](x)).argmax(axis=1)


def peer(threads):
    """The same of the package, on so many threads."""
    from pyTsetlinMachineParallel.tm import MultiClassTsetlinMachine

    set_threads = ctypes.CDLL("libgomp.so.1").omp_set_num_threads

    def train(x, labels, seed):
        set_threads(threads)
        machine = MultiClassTsetlinMachine(CLAUSES, T, S, boost_true_positive_feedback=1, number_of_state_bits=8)
        machine.fit(x.astype(np.uint32), labels.astype(np.uint32), epochs=EPOCHS)
        return machine

    return train, lambda machine, x: machine.predict(x.astype(np.uint32))


def measure(rounds=5):
    """Seconds of an epoch and the ratio of the peer's to ours, by round, with medians and ranges.

    One warm-up round compiles and is left out. With one thread each the ratio is of processor time, which other work
    on the machine disturbs little; with the peer on two threads it is of time on the wall. Accuracy is that on fresh
    documents after the last round's training.
    """
    x, labels = documents(1)
    fresh, truth = documents(2, 1000)
    arms = {"ours": ours(), "peer, 1 thread": peer(1), "peer, 2 threads": peer(2)}
    seconds, accuracy = {arm: [] for arm in arms}, {}
    for number in range(rounds + 1):
        for arm, (train, ask) in arms.items():
            wall, processor = time.perf_counter(), time.process_time()
            machine = train(x, labels, number)
            taken = time.perf_counter() - wall, time.process_time() - processor
            accuracy[arm] = float((ask(machine, fresh) == truth).mean())
            if number:
                seconds[arm].append(np.array(taken) / EPOCHS)
    wall, processor = ({arm: np.array(some)[:, i] for arm, some in seconds.items()} for i in (0, 1))
    ratios = {
        "peer on 1 thread / ours, processor time": processor["peer, 1 thread"] / processor["ours"],
        "peer on 1 thread / ours, wall": wall["peer, 1 thread"] / wall["ours"],
        "peer on 2 threads / ours on 1, wall": wall["peer, 2 threads"] / wall["ours"],
    }
    spread = {name: (np.median(some), some.min(), some.max()) for name, some in ratios.items()}
    return {"ratios": spread, "processor": processor, "wall": wall, "accuracy": accuracy}


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    for name, (median, low, high) in found["ratios"].items():
        print(f"{name}: {median:.1f} ({low:.1f} to {high:.1f})")
    for kind in ("processor", "wall"):
        for arm, some in found[kind].items():
            print(f"{arm}: {np.median(some):.2f} s of {kind} time an epoch ({some.min():.2f} to {some.max():.2f})")
    print("accuracy on fresh documents:", found["accuracy"])
