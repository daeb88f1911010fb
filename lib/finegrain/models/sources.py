"""From the name of a model to the folder of its files, wherever they come from."""

import re
from pathlib import Path
from typing import NamedTuple

from finegrain.errors import InputError
from finegrain.models import backbones, minilm
from finegrain.models._registry import MADE_BY, PACKAGED
from finegrain.run import reads

# What other frameworks read; a hub repository often holds the same weights several times over.
_OTHER_FRAMEWORKS = ["onnx/*", "openvino/*", "coreml/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.gguf"]


class Found(NamedTuple):
    """A model's files: its `name` as given, the local `folder`, and the `digest` of the content."""

    name: str
    folder: Path
    digest: str


def find_model(name: str, scale: str = "default") -> Found:
    """The folder of a model, by a name of one of four kinds, read in this order.

    - a backbone that a notebook trains here ("doc-bert"), at this scale; its files are checked;
    - "minilm": all-MiniLM-L6-v2 from the pinned package; its weights are checked;
    - a local folder, as transformers or sentence-transformers save one;
    - a hub id, "owner/name" or "owner/name@revision" (a commit, tag or branch), also with "hf:" before it:
      downloaded, or taken from the hub's cache.

    What was found is noted as read. Raises InputError if there is nothing of that name.
    """
    if name in MADE_BY:
        return Found(name, *backbones.open_backbone(name, scale))
    if name == "minilm":
        found = Found(name, minilm.minilm_folder(), minilm.SHA256)
    elif Path(name).expanduser().is_dir():
        folder = Path(name).expanduser().resolve()
        found = Found(name, folder, backbones.folder_digest(folder))
    else:
        found = _from_hub(name)
    reads.note("backbones", found.name, found.digest)
    return found


def _from_hub(name: str) -> Found:
    matched = re.fullmatch(r"(?:hf:)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", name)
    if matched is None:
        if "/" in name:
            raise InputError(f"no folder {name}; give a folder that exists, or a hub id as owner/name@revision")
        known = ", ".join([*MADE_BY, *PACKAGED])
        raise InputError(f"no model is called {name!r}; give {known}, a folder, or a hub id as owner/name@revision")
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, revision = matched.groups()
    try:
        folder = Path(snapshot_download(repository, revision=revision, ignore_patterns=[*_OTHER_FRAMEWORKS, "*.bin"]))
        if not any(folder.rglob("*.safetensors")):
            folder = Path(snapshot_download(repository, revision=revision, ignore_patterns=_OTHER_FRAMEWORKS))
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        raise InputError(
            f"no folder {name} here, and the hub does not give {repository} at {revision or 'main'} "
            f"({type(error).__name__}); check the name, and the network or HF_HUB_OFFLINE"
        ) from None
    return Found(name, folder, folder.name)  # a snapshot's folder is named by its commit
