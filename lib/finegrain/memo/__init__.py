"""Expensive steps remembered on disk, by the content of all that they depend on.

`cached(function)(...)` answers from build/cache/memo/ where the same code was called with the same content before, with
the same bytes that the computation gave; `clock()` tells the seconds that the work took when it was done, and
`metered()` tells those and the memory. A killed or edited notebook so continues where it stopped. What an answer
depends on, and so its key:

- the code: the function's own, that of all functions and classes of the notebook that it refers to, and the kit's
  modules behind what it uses with all that those import; comments and layout do not count. What a package of the lock
  holds counts by the lock;
- the content of its arguments, defaults, closures and of the notebook's variables that the code names: numbers, texts,
  lists, arrays, frames, sparse matrices, tensors, data sets, models and encoders (by their weights and settings);
- the backbones that it opens by name while it computes, by their content;
- the Python and the lock, threads, CPU model, GPU, and the settings of torch that change numbers.

What has no content that could be compared (an open file, a path, a generator of random numbers) is refused with one
sentence. A function must draw its randomness from seeds (`finegrain.seeding`), return what it has to say, and change
nothing else: what it prints or writes does not happen when the answer is known.
"""

from finegrain._face import lazy

_FACE = {
    "cached": "finegrain.memo._call",
    "clock": "finegrain.memo._call",
    "metered": "finegrain.memo._call",
    "used": "finegrain.memo._call",
}
__all__ = list(_FACE)
__getattr__, __dir__ = lazy(__name__, _FACE)
