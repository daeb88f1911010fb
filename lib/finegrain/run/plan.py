"""What would run and why: the records compared with what lies here now, without running anything."""

import dataclasses

from finegrain.errors import InputError
from finegrain.run import depend, notebooks, places, record


@dataclasses.dataclass(frozen=True)
class Step:
    """One notebook of `make all`: why it has to run (nothing: it has not), and its seconds when it ran last.

    perhaps: the notebooks whose backbones it uses and that run before it; other weights would make it run too.
    """

    name: str
    reasons: tuple[str, ...]
    seconds: float | None = None
    perhaps: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The reasons, one a line."""
        return [
            *self.reasons,
            *(f"perhaps: {maker} runs first, and may make another backbone" for maker in self.perhaps),
        ]


def steps(names: list[str], scale: str, threads: int) -> list[Step]:
    """One step for each notebook, backbones first; those that they need are added."""
    from finegrain.run.execute import values

    found = {name: notebooks.find(name) for name in names}
    needs = {name: depend.needed(notebook) for name, notebook in found.items()}
    for maker in sorted({maker for some in needs.values() for maker in some} & set(notebooks.names()) - set(found)):
        found[maker], needs[maker] = notebooks.find(maker), []
    runs: dict[str, Step] = {}
    for name, notebook in sorted(found.items(), key=lambda item: bool(needs[item[0]])):
        place = places.committed(name, scale)
        try:
            reasons = tuple(record.reasons(notebook, place, values(notebook, place.scale), threads))
        except InputError as error:
            reasons = (f"it will be refused: {error}",)
        before = [maker for maker in needs[name] if maker in runs and runs[maker].reasons]
        runs[name] = Step(name, reasons, last_seconds(place), () if reasons else tuple(before))
    return list(runs.values())


def why(steps: list[Step]) -> str:
    """One line for each reason of each notebook, or that it is up to date."""
    width = max((len(step.name) for step in steps), default=0)
    lines = [f"{step.name:<{width}}  {words}" for step in steps for words in step.words or ["up to date"]]
    return "\n".join(lines)


def plan(steps: list[Step], scale: str) -> str:
    """What `make all` would run, with the seconds of the last time and their sum."""
    lines = []
    for step in steps:
        if step.words:
            more = f" (and {len(step.words) - 1} more)" if len(step.words) > 1 else ""
            lines.append(f"  {step.name:<36} {_time(step.seconds)}  {step.words[0]}{more}")
    if not lines:
        return "Everything is up to date."
    sure = [step for step in steps if step.reasons]
    known = [step.seconds for step in sure if step.seconds is not None]
    new = f", and {len(sure) - len(known)} that never ran here" if len(known) < len(sure) else ""
    return "\n".join(
        [
            f"{len(sure)} of {len(steps)} notebooks would run at scale {scale} (seconds of the last time):",
            *lines,
            f"  {'in all, one after the other':<36} {_time(sum(known))}{new}",
        ]
    )


def last_seconds(place) -> float | None:
    """How long the last run took by its record, else what the published one costs; a run that fails leaves the latter.

    The record is of this machine, which remembers the same answers again; elsewhere nothing is remembered yet.
    """
    here, published = record.load(place.record), record.load(place.figures / record.PUBLISHED)
    if here and "seconds" in here:
        return here["seconds"]
    return record.price(published) if published and published.get("scale") == place.scale else None


def _time(seconds: float | None) -> str:
    return "      – s" if seconds is None else f"{seconds:7.0f} s"
