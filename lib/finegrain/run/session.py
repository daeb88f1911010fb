"""One `make all`: a line for each notebook as it finishes, and the summary at the end.

The runs are processes that Make starts, perhaps on several machines; they meet in the folder $FINEGRAIN_SESSION,
where each leaves one small file, numbered in the order of finishing.
"""

import collections
import json
import os
import re
from pathlib import Path

from finegrain.run import places
from finegrain.run.execute import Outcome

VERDICTS = ("supported", "smaller than claimed", "contradicted", "inconclusive", "not testable offline")


def report(outcome: Outcome) -> str:
    """The line of a run that has ended, which is also left for the summary, and how long the others may take."""
    folder = os.environ.get("FINEGRAIN_SESSION")
    if not folder:
        return line(outcome)
    number = _leave(Path(folder), outcome)
    total = _total(Path(folder))
    return f"[{number:>{len(str(total))}}/{total}] {line(outcome)}{_still(Path(folder))}"


def line(outcome: Outcome) -> str:
    """The notebook, seconds and verdicts; or what kept it from running."""
    head = f"{outcome.name:<36}"
    match outcome.status:
        case "ran":
            return f"{head} {outcome.seconds:7.1f} s  {tally(outcome.verdicts)}".rstrip()
        case "unchanged":
            return f"{head}            unchanged"
        case "failed":
            return f"{head} {outcome.seconds:7.1f} s  FAILED: {outcome.error}"
        case _:
            return f"{head}            {outcome.status}: {outcome.error}"


def tally(verdicts: list[str]) -> str:
    """How often each verdict was reached, in the order of the vocabulary.

    >>> tally(["inconclusive", "supported", "supported"])
    '2 supported, 1 inconclusive'
    """
    counts = collections.Counter(verdicts)
    order = sorted(counts, key=lambda verdict: VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS))
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in order)


def summary(names: list[str], scale: str) -> tuple[str, bool]:
    """What ran, what was up to date and what failed and why; and whether every notebook has its record now."""
    left = sorted(Path(os.environ["FINEGRAIN_SESSION"]).glob("*.json"))
    outcomes = {outcome.name: outcome for outcome in (Outcome(**json.loads(path.read_text())) for path in left)}
    groups = collections.defaultdict(list)
    for name in {**dict.fromkeys(names), **outcomes}:
        place = places.committed(name, scale)
        outcome = outcomes.get(name)
        if outcome is None:
            status = "up to date" if place.record.exists() else "failed"
            outcome = Outcome(name, status, error="it ended without a word (killed, or never started)")
        groups["up to date" if outcome.status == "unchanged" else outcome.status].append(outcome)
    words = [f"{len(group)} {status}" for status, group in sorted(groups.items(), key=lambda item: _order(item[0]))]
    lines = [f"{sum(map(len, groups.values()))} notebooks at scale {scale}: {', '.join(words)}"]
    bad = [outcome for status in ("failed", "skipped", "interrupted") for outcome in groups[status]]
    for outcome in bad:
        lines.append(f"  {outcome.name} {outcome.status}: {outcome.error}")
        if outcome.executed:
            lines.append(f"    see {outcome.executed}")
    return "\n".join(lines), not bad


def _still(folder: Path) -> str:
    """How long what is left will take by the times of its last runs, shared by Make's jobs; "" where one has none."""
    from finegrain.run.plan import last_seconds

    try:
        asked = (folder / "names").read_text(encoding="utf-8").split()
    except OSError:
        return ""  # a sweep, whose runs have no last time
    done = {json.loads(path.read_text(encoding="utf-8"))["name"] for path in folder.glob("*.json")}
    left = [one.partition("/") for one in asked if one.partition("/")[2] not in done]
    seconds = [last_seconds(places.committed(name, scale)) for scale, _, name in left]
    if not left or None in seconds:
        return ""
    jobs = re.search(r"-j ?(\d+)", os.environ.get("MAKEFLAGS", ""))
    known = [one for one in seconds if one is not None]
    wait = max(max(known), sum(known) / (int(jobs[1]) if jobs else 1))
    return f"  (about {wait / 60:.0f} min left)" if wait >= 60 else "  (less than a minute left)"


def _order(status: str) -> int:
    order = ("ran", "up to date", "skipped", "interrupted", "failed")
    return order.index(status)


def _leave(folder: Path, outcome: Outcome) -> int:
    number = 1
    while True:
        try:
            with open(folder / f"{number}.json", "x", encoding="utf-8") as file:
                json.dump(outcome.__dict__, file)
            return number
        except FileExistsError:
            number += 1


def _total(folder: Path) -> str:
    try:
        return (folder / "count").read_text().strip()
    except OSError:
        return "?"
