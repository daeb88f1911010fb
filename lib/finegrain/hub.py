"""The hub of Hugging Face: names of what lies there, whether it can be asked, and what its refusals mean."""

import contextlib
import errno
import functools
import os
import re

from finegrain.errors import InputError

SECONDS = 5.0  # to find out whether there is a network at all; the hub's own client would try for minutes
ID = re.compile(r"(?:hf:)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def parsed(name: str) -> tuple[str, str | None] | None:
    """Repository and revision (a commit, tag or branch; None is the newest) of "owner/name@revision", or None.

    >>> parsed("hf:owner/name@v1")
    ('owner/name', 'v1')
    >>> parsed("a folder")
    """
    matched = ID.fullmatch(name)
    return (matched[1], matched[2]) if matched else None


@functools.cache
def reachable() -> bool:
    """Whether the hub answers within a few seconds; never asked where $HF_HUB_OFFLINE is set."""
    import httpx
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        httpx.head(constants.ENDPOINT, timeout=SECONDS)
    except httpx.HTTPError:
        return False
    return True


@contextlib.contextmanager
def cache_only():
    """Within the block everything comes from the hub's cache or not at all."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def told(what: str, repository: str, revision: str | None):
    """Within the block the hub's refusals become one sentence each, an InputError.

    what: "model" or "data set"; repository, revision: what is asked for.
    """
    import httpx
    from huggingface_hub import errors

    asked = f"{what} {repository}" + (f"@{revision}" if revision else "")
    try:
        yield
    except errors.GatedRepoError:
        raise InputError(
            f"the {asked} is gated: accept its terms on its page, log in with `hf auth login`, and run again"
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError(f"the hub has {repository}, but no revision {revision!r}; check the commit or tag") from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"the hub has no {asked}, or it is private: check the name, or log in with `hf auth login`"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, httpx.TransportError, ConnectionError):
        raise absent(asked) from None
    except errors.HfHubHTTPError as error:
        raise InputError(f"the hub refuses the {asked}: {_first_line(error)}") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise InputError(
                f"no space left to keep the {asked}: free some, or set HF_HOME to a folder on a larger disk"
            ) from None
        raise


def absent(asked: str) -> InputError:
    """The error that something is not here and cannot be fetched; asked: "model owner/name"."""
    why = "HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE") else "the hub cannot be reached"
    return InputError(
        f"the {asked} is not in the hub's cache, and {why}; connect once to fetch it, or give a local folder"
    )


def _first_line(error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
