"""Rows of training: the Tsetlin machine of its notebook against the published packages.

The peers are no part of the lock, and those that are absent are left out:

    pip install --no-build-isolation pyTsetlinMachineParallel==0.2.1     the same machine in C, bits packed as here
    pip install green-tsetlin==1.1.0                                     C++ with vector instructions

A clause of green-tsetlin votes for all classes at once, with a weight for each, so none of its machines is like ours:
it is measured with as many clauses as a text meets here (those of two classes) and with as many as are here in all.
tmu 0.8.3 does not start under numpy 2. Ours runs on one thread.
"""

import contextlib
import ctypes
import time

import numpy as np
from rows import Row

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


def parallel(threads):
    """The same of pyTsetlinMachineParallel, on so many threads."""
    from pyTsetlinMachineParallel.tm import MultiClassTsetlinMachine

    set_threads = ctypes.CDLL("libgomp.so.1").omp_set_num_threads

    def train(x, labels, seed):
        set_threads(threads)
        machine = MultiClassTsetlinMachine(CLAUSES, T, S, boost_true_positive_feedback=1, number_of_state_bits=8)
        machine.fit(x.astype(np.uint32), labels.astype(np.uint32), epochs=EPOCHS)
        return machine

    return train, lambda machine, x: machine.predict(x.astype(np.uint32))


def green(clauses):
    """The same of green-tsetlin, on one thread, with so many clauses for all classes together."""
    import green_tsetlin

    def train(x, labels, seed):
        machine = green_tsetlin.TsetlinMachine(x.shape[1], clauses, CLASSES, S, T, boost_true_positives=True)
        told = {"n_epochs": EPOCHS, "early_exit_acc": 2.0, "load_best_state": False, "progress_bar": False}
        trainer = green_tsetlin.Trainer(machine, feedback_type="uniform", seed=seed + 1, n_jobs=1, **told)
        x, labels = x.astype(np.uint8), labels.astype(np.uint32)
        trainer.set_train_data(x, labels)
        trainer.set_eval_data(x[:1], labels[:1])  # it insists on some; one text takes no time
        trainer.train()
        return machine.get_predictor()

    return train, lambda machine, x: np.array([machine.predict(row) for row in x.astype(np.uint8)])


def arms():
    """name -> (train, ask) of ours and of the packages that are here."""
    found = {"ours": ours()}
    peers = {
        "pyTsetlinMachineParallel, 1 thread": (parallel, 1),
        "pyTsetlinMachineParallel, 2 threads": (parallel, 2),
        f"green-tsetlin, {2 * CLAUSES} clauses": (green, 2 * CLAUSES),
        f"green-tsetlin, {CLASSES * CLAUSES} clauses": (green, CLASSES * CLAUSES),
    }
    for name, (make, given) in peers.items():
        with contextlib.suppress(ImportError):
            found[name] = make(given)
    return found


def tsetlin(repeats):
    """Seconds of an epoch: of processor time, which other work disturbs little, or on the wall for several threads.

    A round before the first one compiles and is left out. The accuracy on fresh documents, the mean over the rounds,
    stands in the name, since a faster machine may be a worse one.
    """
    x, labels = documents(1)
    fresh, truth = documents(2, 1000)
    compared = arms()
    taken = {arm: {"wall": [], "processor": [], "right": []} for arm in compared}
    for number in range(repeats + 1):
        for arm, (train, ask) in compared.items():
            wall, processor = time.perf_counter(), time.process_time()
            machine = train(x, labels, number)
            if number:
                taken[arm]["wall"].append((time.perf_counter() - wall) / EPOCHS)
                taken[arm]["processor"].append((time.process_time() - processor) / EPOCHS)
                taken[arm]["right"].append(np.mean(ask(machine, fresh) == truth))
    ours = taken.pop("ours")
    for arm, its in taken.items():
        kind = "wall" if arm.endswith("threads") else "processor"
        right = f"{np.mean(ours['right']):.1%} and {np.mean(its['right']):.1%} right"
        yield Row(f"Tsetlin machine, an epoch ({right})", arm, "s", ours[kind], its[kind], 1)


ROWS = {"tsetlin": tsetlin}
