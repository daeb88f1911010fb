"""From the name of a model to the folder of its files, wherever they come from."""

from pathlib import Path
from typing import NamedTuple

from finegrain import hub
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
    asked = hub.parsed(name)
    if asked is None:
        if "/" in name:
            raise InputError(f"no folder {name}; give a folder that exists, or a hub id as owner/name@revision")
        known = ", ".join([*MADE_BY, *PACKAGED])
        raise InputError(f"no model is called {name!r}; give {known}, a folder, or a hub id as owner/name@revision")
    repository, revision = asked
    folder = snapshot(repository, revision, [*_OTHER_FRAMEWORKS, "*.bin"])
    if not any(folder.rglob("*.safetensors")):
        folder = snapshot(repository, revision, _OTHER_FRAMEWORKS)
    return Found(name, folder, folder.name)  # a snapshot's folder is named by its commit


def snapshot(repository: str, revision: str | None = None, ignored=()) -> Path:
    """The folder of a model's files from the hub, or from its cache where the hub cannot be reached.

    revision: a commit, tag or branch; None is the newest. ignored: patterns of files to leave.
    Raises InputError, within seconds where there is no network.
    """
    from huggingface_hub import snapshot_download

    with hub.told("model", repository, revision):
        return Path(
            snapshot_download(
                repository, revision=revision, ignore_patterns=list(ignored), local_files_only=not hub.reachable()
            )
        )
