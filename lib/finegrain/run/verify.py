"""Fresh results held against published ones, cell by cell: identical, within tolerance, or different.

Whatever has the same bytes is identical. Else numbers may differ as far as another processor or another version moves
them, and no further:

- three times the deviation over seeds, where a table stores it (a column "X sd" beside X);
- one standard error, where a number stands with its 95 % interval ("X low", "X high"; "low" and "high" beside
  "difference"; a claim's effect): a quarter of the interval's width, for the number and for both of its bounds;
- p-values: anything on the same side of 0.05;
- other numbers: a thousandth of their size.

Texts, rows and columns must be equal, and so must verdicts. A Markdown file says again what its CSV holds, and a figure
draws it: where their bytes differ they count as their notebook's tables do, and as different if all of those are
identical. `cost.*` and `run.json` hold what a clock measured and are left out.
"""

import csv
import dataclasses
from pathlib import Path

from finegrain import files
from finegrain.run import record

IDENTICAL, CLOSE, DIFFERENT = "identical", "within tolerance", "different"
RELATIVE, ABSOLUTE, LEVEL = 1e-3, 1e-9, 0.05
NAMED = 5  # so many differences of a file are named


@dataclasses.dataclass
class Finding:
    """What came out for one file: its status, how many cells or numbers were compared, and where they differ."""

    file: str
    status: str
    cells: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    verdicts: int = 0  # that changed


def compare(published: Path, fresh: Path) -> list[Finding]:
    """One finding for each file of a notebook's results in two folders, but for what a clock made."""
    names = [_names(folder) for folder in (published, fresh)]
    findings = []
    for name in sorted({*names[0], *names[1]}):
        if name not in names[0] or name not in names[1] or not (published / name).is_file():
            where = "the fresh run did not make it" if name in names[0] else "the published results lack it"
            findings.append(Finding(name, DIFFERENT, notes=[where]))
        else:
            findings.append(_compare_file(published / name, fresh / name))
    numbers = [found.status for found in findings if found.file.endswith((".csv", ".json"))]
    for found in findings:
        if found.status == "other bytes":
            found.status = max(numbers, key=(IDENTICAL, CLOSE, DIFFERENT).index, default=IDENTICAL)
            found.notes = ["drawn from the numbers above"]
            if found.status == IDENTICAL:
                found.status, found.notes = DIFFERENT, ["other bytes, although all numbers are identical"]
    return findings


def causes(published: Path, fresh: Path) -> list[str]:
    """Why results may differ, by the two run records: each as "what: then, now"."""
    then, now = (record.load(folder / record.PUBLISHED) or {} for folder in (published, fresh))
    if not then or not now:
        return ["there is no run record to compare"]
    stored = then.get("outputs", {}).get("figures", {})
    files_now = {name: published / name for name in stored if (published / name).is_file()}
    touched = [name for name, path in sorted(files_now.items()) if stored[name] and stored[name] != files.digest(path)]
    found = [f"{name}: changed by hand since its run" for name in touched] + [
        f"{words}: {then.get(key)}, now {now.get(key)}"
        for key, words in (
            ("cpu_capability", "CPU capability"),
            ("cpu", "CPU"),
            ("gpu", "GPU"),
            ("threads", "threads"),
            ("python", "Python"),
            ("system", "system"),
            ("parameters", "parameters"),
        )
        if key in then and then.get(key) != now.get(key)
    ]
    versions = [then.get("versions", {}), now.get("versions", {})]
    changed = [name for name in sorted({*versions[0]} & {*versions[1]}) if versions[0][name] != versions[1][name]]
    found += [f"{name}: {versions[0][name]}, now {versions[1][name]}" for name in changed]
    one, other = then["inputs"], now["inputs"]
    found += ["requirements.lock: another one"] if one["lock"] != other["lock"] else []
    found += ["the notebook: it was edited since"] if one["notebook"] != other["notebook"] else []
    for kind, words in (("modules", "edited since"), ("backbones", "other weights"), ("folders", "other data")):
        names = [name for name in sorted(one[kind]) if one[kind][name] != other[kind].get(name, one[kind][name])]
        found += [f"{', '.join(names[:NAMED])}{' and others' if len(names) > NAMED else ''}: {words}"] if names else []
    return found or ["nothing that the run records hold: the same code on the same machine should give the same bytes"]


def report(findings: dict[str, list[Finding]], reasons: dict[str, list[str]]) -> tuple[str, bool]:
    """The report over all notebooks, and whether nothing is different.

    findings: notebook -> findings, none at all for one that did not run; reasons: notebook -> causes.
    """
    lines = []
    for name, found in findings.items():
        statuses = [one.status for one in found]
        words = ", ".join(
            f"{statuses.count(status)} {status}" for status in (IDENTICAL, CLOSE, DIFFERENT) if status in statuses
        )
        lines.append(f"{name:<36} {words or 'DIFFERENT: it did not run well, or published nothing'}")
        for one in found:
            if one.status != IDENTICAL:
                lines.append(f"  {one.file}: {one.status}")
                more = [f"and {len(one.notes) - NAMED} more"] if len(one.notes) > NAMED else []
                lines += [f"    {note}" for note in [*one.notes[:NAMED], *more]]
        if set(statuses) - {IDENTICAL}:
            lines += [f"  may differ because of {cause}" for cause in reasons.get(name, [])]
    every = [one for found in findings.values() for one in found]
    failed = [name for name, found in findings.items() if not found]
    count = {status: sum(one.status == status for one in every) for status in (IDENTICAL, CLOSE, DIFFERENT)}
    verdicts = sum(one.verdicts for one in every)
    lines.append(
        f"{len(findings)} notebooks, {len(every)} files, {sum(one.cells for one in every):,} cells compared: "
        + ", ".join(f"{number} {status}" for status, number in count.items())
        + f"; {verdicts} verdicts changed"
        + (f"; {len(failed)} notebooks did not run" if failed else "")
    )
    return "\n".join(lines), not (count[DIFFERENT] or verdicts or failed)


def _names(folder: Path) -> set[str]:
    """The published files of a folder, by its record; without one, all that lie there."""
    stored = (record.load(folder / record.PUBLISHED) or {}).get("outputs", {}).get("figures")
    names = stored if stored is not None else [path.name for path in folder.glob("*") if path.is_file()]
    return {name for name in names if name != record.PUBLISHED and not name.startswith("cost.")}


def _compare_file(one: Path, other: Path) -> Finding:
    same = files.digest(one) == files.digest(other)
    if one.suffix == ".csv":
        return _compare_tables(one, other, same)
    if one.name == "claims.json":
        return _compare_claims(one, other, same)
    return Finding(one.name, IDENTICAL if same else "other bytes")


def _compare_tables(one: Path, other: Path, same: bool) -> Finding:
    with open(one, encoding="utf-8", newline="") as then, open(other, encoding="utf-8", newline="") as now:
        before, after = list(csv.reader(then)), list(csv.reader(now))
    found = Finding(one.name, IDENTICAL, sum(map(len, before[1:])))
    if same:
        return found
    if before[:1] != after[:1] or len(before) != len(after) or any(map(_other_length, before, after)):
        rows = f"{len(before) - 1} rows of {before[:1]}, now {len(after) - 1} of {after[:1]}"
        return Finding(one.name, DIFFERENT, found.cells, [rows])
    for number, (then_row, now_row) in enumerate(zip(before[1:], after[1:], strict=True), 1):
        for column, was, is_now in zip(before[0], then_row, now_row, strict=True):
            _compare_cell(found, f"row {number}, {column}", was, is_now, _tolerance(column, before[0], then_row))
    return found


def _other_length(one, other) -> bool:
    return len(one) != len(other)


def _tolerance(column: str, header: list[str], row: list[str]) -> float | str | None:
    """How far a number of this column may move: a number, "p" for a p-value, None for a thousandth of its size."""
    cells = {name: _number(cell) for name, cell in zip(header, row, strict=True)}
    if column in ("p", "p_holm"):
        return "p"
    base = column.removesuffix(" low").removesuffix(" high").removesuffix(" sd")
    deviation = cells.get(f"{base} sd")
    if deviation is not None:
        return 3 * deviation
    low, high = cells.get(f"{base} low"), cells.get(f"{base} high")
    if column in ("difference", "low", "high"):
        low, high = cells.get("low"), cells.get("high")
    return None if low is None or high is None else (high - low) / 4


def _compare_cell(found: Finding, where: str, was, is_now, tolerance) -> None:
    """Note a cell that is not the same, and what it makes of the file."""
    if was == is_now:
        return
    then, now = _number(was), _number(is_now)
    if then is None or now is None:
        close, allowed = False, ""
    elif tolerance == "p":
        close, allowed = (then < LEVEL) == (now < LEVEL), f"same side of {LEVEL}"
    else:
        most = max(tolerance if tolerance is not None else RELATIVE * abs(then), ABSOLUTE)
        close, allowed = abs(now - then) <= most, f"allowed: {most:.3g}"
    status = CLOSE if close else DIFFERENT
    found.status = max(found.status, status, key=(IDENTICAL, CLOSE, DIFFERENT).index)
    note = f"{where}: {was}, now {is_now}" + (f" ({allowed})" if allowed else "")
    found.notes.insert(len(found.notes) if close else 0, note)


def _compare_claims(one: Path, other: Path, same: bool) -> Finding:
    before, after = (record.load(path) or {} for path in (one, other))
    claims, others = ({claim["name"]: claim for claim in whole.get("claims", [])} for whole in (before, after))
    found = Finding(one.name, IDENTICAL, 4 * len(claims))
    if same:
        return found
    for key in ("notebook", "title", "scale", "seeds", "parameters"):
        _compare_cell(found, key, before.get(key), after.get(key), None)
    for name in sorted({*claims, *others}):
        was, is_now = claims.get(name), others.get(name)
        if was is None or is_now is None:
            _compare_cell(found, name, "there" if was else "absent", "there" if is_now else "absent", None)
            continue
        if was["verdict"] != is_now["verdict"]:
            found.verdicts += 1
        low, high = was.get("interval") or (None, None)
        error = None if low is None or high is None else (high - low) / 4
        for key in ("verdict", "statement", "kind", "primary", "measure", "contrast", "margin", "where"):
            _compare_cell(found, f"{name}, {key}", was.get(key), is_now.get(key), None)
        _compare_cell(found, f"{name}, effect", was.get("effect"), is_now.get("effect"), error)
        for end, then, now in zip(
            ("low", "high"), was.get("interval") or (), is_now.get("interval") or (), strict=False
        ):
            _compare_cell(found, f"{name}, {end}", then, now, error)
        if bool(was.get("interval")) != bool(is_now.get("interval")):
            _compare_cell(found, f"{name}, interval", str(was.get("interval")), str(is_now.get("interval")), None)
        for key in ("p", "p_holm"):
            _compare_cell(found, f"{name}, {key}", was.get(key), is_now.get(key), "p")
    return found  # identical too where only words, versions or digests around the same results are others


def _number(cell) -> float | None:
    if isinstance(cell, bool) or cell is None:
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None
