"""Where a result comes from: what an executed notebook, claims.json and run.json say of their run, and how it reads.

An executed notebook holds all of it in its metadata, under `provenance`. claims.json, which is the same to the byte
whenever the same commit runs, holds what the run read, by content, under `run`; the run.json beside it holds the rest:
commit, machine and clock. No user, host or folder is named: of a path only the last part is told.
"""

import json
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError
from finegrain.run import record

RUN = ("notebook", "scale", "parameters", "seeds", "threads", "started", "seconds", "cached", "commit", "verdicts")
MACHINE = ("python", "system", "cpu", "cpu_capability", "dtype", "gpu", "peak_memory_mb", "versions")


def of(whole: dict) -> dict:
    """The provenance that a run record holds."""
    found = {key: whole[key] for key in RUN + MACHINE if key in whole}
    found["parameters"] = _without_folders(whole["parameters"])
    return found | content(whole)


def content(whole: dict) -> dict:
    """What a run read, by content: the same for all runs of the same commit."""
    inputs = whole["inputs"]
    return {
        "lock": inputs["lock"],
        "source": inputs["notebook"],
        "modules": files.digest(*(part for item in sorted(inputs["modules"].items()) for part in item)),
        "data": _without_folders(whole["data"]),
        "backbones": _without_folders(inputs["backbones"]),
    }


def stamp(claims: Path, whole: dict) -> None:
    """Add to claims.json, where there is one, what its run read."""
    judged = record.load(claims)
    if isinstance(judged, dict):
        text = json.dumps(judged | {"run": content(whole)}, indent=1, ensure_ascii=False, allow_nan=False)
        files.write_text(claims, text + "\n")


def text(path: Path) -> str:
    """The provenance of a result, readable.

    path: an executed notebook, a run record, claims.json, or any published file with a run.json beside it. Raises
    InputError where there is no such file, or nothing tells its run.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    whole = record.load(path) if path.suffix in (".json", ".ipynb") else None
    head = ""
    if path.suffix == ".ipynb":
        found = (whole or {}).get("metadata", {}).get("provenance")
        if found is None:
            raise InputError(f"{path} holds no provenance: it was not executed by `make`")
    elif whole is not None and "inputs" in whole and "outputs" in whole:
        found = of(whole)
    else:
        published = record.load(path.with_name(record.PUBLISHED))
        if published is None:
            raise InputError(f"no {record.PUBLISHED} lies beside {path} to tell its run")
        stored = published["outputs"]["figures"].get(path.name)
        if stored is None:
            raise InputError(f"the run that the {record.PUBLISHED} beside {path} tells did not make it")
        same = stored == files.digest(path)
        head = f"{path.name}: {'as the run made it' if same else 'NOT what the run made: it was changed since'}\n"
        found = of(published)
        if whole is not None and "run" in whole and whole["run"] != content(published):
            head += f"the {record.PUBLISHED} beside it tells another run\n"
            found = found | whole["run"]
    return head + _readable(found)


def _readable(found: dict) -> str:
    commit = found.get("commit") or {}
    tree = {True: "", False: ", with changes that are not committed", None: ""}[commit.get("clean")]
    cached = found.get("cached") or {}
    spared = (
        f", and {cached['seconds']:.0f} s spared by {cached['answers']} cached answers" if cached.get("answers") else ""
    )
    versions = ", ".join(f"{name} {version}" for name, version in found.get("versions", {}).items())
    lines = {
        "notebook": f"{found['notebook']} ({found['source'][:16]}) at scale {found['scale']}",
        "parameters": " ".join(f"{name}={value!r}" for name, value in found["parameters"].items()),
        "seeds": ", ".join(map(str, found.get("seeds") or [])) or "none by parameter",
        "commit": (commit.get("hash") or "unknown") + tree,
        "lock": found["lock"],
        "library": found["modules"],
        "data": _digests(found["data"]),
        "backbones": _digests(found["backbones"]),
        "started": f"{found.get('started', 'unknown')} (UTC)",
        "duration": f"{found['seconds']} s{spared}",
        "machine": ", ".join(filter(None, [found.get("system"), found.get("cpu"), found.get("cpu_capability")])),
        "gpu": found.get("gpu") or "none",
        "threads": f"{found['threads']}, {found.get('dtype', 'no torch')}",
        "memory": f"{found.get('peak_memory_mb', 'unknown')} MB at most",
        "versions": f"Python {found.get('python', 'unknown')}, {versions}",
        "verdicts": ", ".join(found.get("verdicts", [])) or "none",
    }
    return "\n".join(f"{name:<10}  {value}" for name, value in lines.items())


def _digests(found: dict) -> str:
    return ", ".join(f"{name} {digest}" for name, digest in found.items()) or "none"


def public(whole: dict) -> dict:
    """A run record as it is published: without the folders of the machine that made it."""
    return _without_folders(whole)


def _without_folders(value):
    """The value, with absolute paths in it cut to their last part; options after "?" stay."""
    if isinstance(value, dict):
        return {_without_folders(key): _without_folders(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    if isinstance(value, str) and value.partition("?")[0].startswith(("/", "~")):
        path, mark, options = value.partition("?")
        return f".../{Path(path).name}{mark}{options}"
    return value
