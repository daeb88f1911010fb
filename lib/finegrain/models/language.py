"""Language models of transformers, masked and causal: loading, scoring, and texts as the rows of tokens they read."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from finegrain.errors import InputError
from finegrain.models._device import autocast, pick_device, pick_dtype
from finegrain.models.sources import find_model


def load_masked_lm(name: str, scale: str = "default", device: str = "auto", new: Sequence[str] = (), **config):
    """A masked language model and its tokenizer, in float32 and eval mode.

    name, scale: see `sources.find_model`.
    new: prefixes of weights that the files may lack and that are then drawn anew (inside `seeding.seeded`); MiniLM is a
        body without a head, so `load_masked_lm("minilm", new=["cls"])`.
    config: what to change in the model's configuration, such as `hidden_dropout_prob=0.0`.

    Raises InputError if weights are missing that `new` does not name: a head left at random is the silent killer of
    scores.
    """
    from transformers import AutoModelForMaskedLM

    return _load(AutoModelForMaskedLM, name, scale, device, new, config)


def load_causal_lm(name: str, scale: str = "default", device: str = "auto", new: Sequence[str] = (), **config):
    """A causal language model and its tokenizer, in float32 and eval mode; arguments as for `load_masked_lm`.

    MiniLM's weights under a causal mask: `load_causal_lm("minilm", new=["cls"], is_decoder=True)`.
    """
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, name, scale, device, new, config)


def save_language_model(model, tokenizer, folder) -> None:
    """Write model and tokenizer into a folder in transformers' layout; for `save_backbone`."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def quiet():
    """Within the block transformers shows no progress bars and no load reports: we check what they would say."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # MobileBERT's head has a matrix of width 0 where words are as wide as states, as at smoke scale.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def pack(texts: Sequence[str], tokenizer, length: int) -> np.ndarray:
    """Texts as one stream of tokens, cut into rows: (R, length) int64, each of which opens with a special token.

    Each text is closed by a special token, so a row may hold the end of one text and the start of the next. Rows are
    full: the rest of the stream, shorter than a row, is dropped.

    Raises InputError if the texts do not fill one row.
    """
    first, last = _ends(tokenizer)
    encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    stream = np.array([token for text in encoded for token in (*text, last)], np.int64)
    body = length - 1
    rows = stream[: len(stream) // body * body].reshape(-1, body)
    if not len(rows):
        raise InputError(f"{len(texts)} texts of {len(stream)} tokens do not fill one row of {length}; give more text")
    return np.concatenate([np.full((len(rows), 1), first), rows], axis=1)


def batches_of(rows: np.ndarray, size: int, generator: np.random.Generator, device="cpu") -> Iterator[torch.Tensor]:
    """Batches (size, length) of packed rows without end, each pass over the rows in a new random order."""
    rows = torch.from_numpy(rows)
    size = min(size, len(rows))
    while True:
        order = torch.from_numpy(generator.permutation(len(rows)))
        for start in range(0, len(rows) - size + 1, size):
            yield rows[order[start : start + size]].to(device)


def rows_of(texts: Sequence[str], tokenizer, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Each text as one row of its own: tokens (N, length) int64, and (N, length) bool: is this a token of the text.

    A row is: first special token, the text's tokens, last special token, padding; longer texts are cut.
    """
    encoded = tokenizer(
        list(texts), truncation=True, max_length=length, padding="max_length", return_tensors="np", verbose=False
    )
    tokens = encoded["input_ids"].astype(np.int64)
    real = encoded["attention_mask"].astype(bool)
    return tokens, real & ~np.isin(tokens, _ends(tokenizer))


def logits_at(model, tokens: torch.Tensor, where: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
    """The head's logits at chosen positions only: (M, V) float32 for M true entries of `where` (n, length) bool.

    tokens: (n, length). real: (n, length) bool, False at padding; None where rows are full.
    """
    mask = None if real is None else real.long()
    head = getattr(model, "cls", None) or getattr(model, "lm_head", None)
    if head is None:
        return model(tokens, attention_mask=mask).logits[where].float()
    # A head over 30,000 words costs more than a small body, so it is computed only where it is read.
    return head(model.base_model(tokens, attention_mask=mask).last_hidden_state[where]).float()


@torch.inference_mode()
def score_tokens(model, tokens, targets, where, real, *, batch_size: int = 32, dtype: str = "auto"):
    """Loss and hit of each chosen position: two (M,) arrays, nats (float64) and whether the likeliest token is right.

    tokens, targets: (n, length) int64, what the model reads and what it should say at each position.
    where, real: (n, length) bool, as for `logits_at`; M counts the true entries of `where` row by row.
    """
    device = next(model.parameters()).device
    arrays = [torch.from_numpy(np.asarray(array)) for array in (tokens, targets, where, real)]
    losses, hits = [], []
    model.eval()
    for start in range(0, len(tokens), batch_size):
        seen, wanted, chosen, present = (array[start : start + batch_size].to(device) for array in arrays)
        with autocast(device, pick_dtype(dtype, device)):
            logits = logits_at(model, seen, chosen, present)
        losses.append(cross_entropy(logits, wanted[chosen], reduction="none").double().cpu())
        hits.append((logits.argmax(-1) == wanted[chosen]).cpu())
    return torch.cat(losses).numpy(), torch.cat(hits).numpy()


def log_frequencies(rows: np.ndarray, vocabulary: int) -> torch.Tensor:
    """(V,) log share of each token in the rows, each counted once more than it occurs: where a head's bias starts."""
    counts = np.bincount(rows.ravel(), minlength=vocabulary) + 1.0
    return torch.from_numpy(np.log(counts / counts.sum())).float()


@torch.no_grad()
def align_head(model, tokens: torch.Tensor, ahead: int = 0, ridge: float = 0.01) -> None:
    """Set the dense layer of a BERT's new head by ridge regression, so that it leads from vectors to embeddings.

    tokens: (n, L) int64, read as they are.
    ahead: 0 if the head is to name the token at its own position, 1 for the next.
    ridge: the penalty, as a share of the vectors' mean square.
    """
    embeddings = model.get_input_embeddings().weight
    positions = tokens.shape[1] - ahead
    hidden = model.base_model(tokens).last_hidden_state[:, :positions].flatten(0, 1)
    wanted = embeddings[tokens[:, ahead:].flatten()] - embeddings.mean(0)
    gram = hidden.T @ hidden + ridge * hidden.square().sum() / hidden.shape[1] * torch.eye(hidden.shape[1]).to(hidden)
    dense = model.cls.predictions.transform.dense
    dense.weight.copy_(torch.linalg.solve(gram, hidden.T @ wanted).T)
    dense.bias.zero_()


def _ends(tokenizer) -> tuple[int, int]:
    """The special tokens that open and close a text."""
    first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    last = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    return first, last


def _load(auto, name, scale, device, new, config):
    from transformers import AutoTokenizer

    found = find_model(name, scale)
    try:
        with quiet():
            # dtype: a checkpoint saved in half precision would otherwise come back in half precision.
            model, info = auto.from_pretrained(found.folder, dtype=torch.float32, output_loading_info=True, **config)
            tokenizer = AutoTokenizer.from_pretrained(found.folder)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{found.name} ({found.folder}) is no language model that transformers can load: {reason}"
        ) from None
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(tuple(new)))
    missing += sorted(str(key) for key in info["mismatched_keys"])
    if missing:
        raise InputError(
            f"{found.name} lacks {len(missing)} weights of {type(model).__name__} ({', '.join(missing[:3])}, ...); "
            "take a model that has them, or name them in `new` and train them"
        )
    return model.to(pick_device(device)).eval(), tokenizer
