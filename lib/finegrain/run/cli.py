"""The command `finegrain`, which the Makefile calls: a thin layer of words over `run`."""

import os
import sys
from pathlib import Path

import click

from finegrain import files
from finegrain.errors import InputError
from finegrain.models._registry import MADE_BY
from finegrain.run import depend, notebooks, places, session


def main() -> None:
    """Run the command; bad input is one sentence on standard error and status 2."""
    try:
        commands(standalone_mode=False)
    except InputError as error:
        print(f"finegrain: {error}", file=sys.stderr)
        sys.exit(2)
    except click.ClickException as error:
        print(f"finegrain: {error.format_message()}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands():
    """Run notebooks of the research kit and keep their records."""


@commands.command()
@click.argument("target")
@click.option("--threads", default=1, show_default=True, help="Threads of the kernel.")
def notebook(target, threads):
    """Run SCALE/TASK/NAME unless its record says that nothing has changed (what `make all` calls)."""
    from finegrain.run.execute import Outcome, execute, values

    scale, _, name = target.partition("/")
    try:
        found = notebooks.find(name)
        outcome = execute(found, places.committed(name, scale), values(found, scale), threads)
    except InputError as error:
        outcome = Outcome(name, "failed", error=str(error), bad_input=True)
    except KeyboardInterrupt:
        outcome = Outcome(name, "interrupted", error="stopped by a signal")
    print(session.report(outcome), flush=True)
    sys.exit(_status(outcome))


@commands.command()
@click.argument("name")
@click.option("--parameters", default="", help='Values by name: "seeds=5 dataset=glyphs".')
@click.option("--threads", default=1, show_default=True, help="Threads of the kernel.")
def run(name, parameters, threads):
    """Run the notebook NAME with parameters, into a folder of its own below build/runs/."""
    from finegrain.run.execute import execute, values

    found, scale, given = _asked(name, parameters)
    place = places.separate(found.name, scale, given)
    if found.name in MADE_BY.values() and set(given) <= {"scale"} and scale != "full":
        place = places.committed(found.name, scale)  # trained as `make all` does it: it need not do it again
    outcome = execute(found, place, values(found, scale, given), threads, always=True, progress=sys.stderr.isatty())
    if outcome.bad_input:
        raise InputError(outcome.error)
    print(session.line(outcome))
    if outcome.executed:
        print(f"notebook  {outcome.executed}")
    if outcome.status == "ran" and place.figures.is_dir():
        print(f"results   {files.shown(place.figures)}")
    if outcome.status == "ran" and place.backbones:
        print(f"backbones {files.shown(place.backbones)} (a trial: the shared ones are as they were)")
    sys.exit(_status(outcome))


@commands.command()
@click.argument("name")
@click.option("--parameters", default="")
def needs(name, parameters):
    """Say which backbones a run lacks, as arguments for `make all`; nothing if it lacks none."""
    found, scale, _ = _asked(name, parameters)
    lacking = [maker for maker in depend.needed(found) if not places.committed(maker, scale).record.exists()]
    if lacking:
        print(f"TASK={','.join(lacking)} SCALE={scale}")


@commands.command()
@click.option("--scale", default="default")
@click.option("--task", default="")
def check(scale, task):
    """Refuse an unknown scale or task."""
    places.check_scale(scale)
    _wanted(task)


@commands.command()
@click.option("--scale", default="default")
@click.option("--task", default="")
def summary(scale, task):
    """What ran, what was up to date and what failed in the session that $FINEGRAIN_SESSION names."""
    text, complete = session.summary(_wanted(task), scale)
    print(text)
    sys.exit(0 if complete else 1)


@commands.command()
@click.argument("names", nargs=-1)
@click.option("--scale", default="default")
@click.option("--task", default="")
@click.option("--threads", default=1)
def why(names, scale, task, threads):
    """Say what made each notebook stale, a line for each reason, or that it is up to date."""
    from finegrain.run import plan

    places.check_scale(scale)
    wanted = [notebooks.find(name).name for name in names] or _wanted(task)
    print(plan.why([step for step in plan.steps(wanted, scale, threads) if step.name in wanted or step.reasons]))


@commands.command()
@click.option("--scale", default="default")
@click.option("--task", default="")
@click.option("--threads", default=1)
def plan(scale, task, threads):
    """Say what `make all` would run, with the times of the records; run nothing (what `make -n all` calls)."""
    from finegrain.run import plan as plans

    places.check_scale(scale)
    print(plans.plan(plans.steps(_wanted(task), scale, threads), scale))


@commands.command()
@click.argument("fresh", type=click.Path(path_type=Path))
@click.option("--scale", default="default")
@click.option("--task", default="")
def verify(fresh, scale, task):
    """Hold the results of a run from nothing, below the build folder FRESH, against the published ones."""
    from finegrain.run import verify as verifying

    findings, reasons = {}, {}
    for name in _wanted(task):
        place = places.committed(name, scale)
        anew = fresh / place.figures.relative_to(files.build() if scale == "smoke" else files.figures().parent)
        ran = (fresh / place.scale / f"{name}.run.json").exists()
        if place.figures.is_dir() or not ran:
            findings[name] = verifying.compare(place.figures, anew) if ran else []
            reasons[name] = verifying.causes(place.figures, anew) if ran else []
    text, well = verifying.report(findings, reasons)
    print(text)
    sys.exit(0 if well else 1)


@commands.group()
def sweep():
    """A notebook over a grid of parameters (what `make sweep` calls)."""


@sweep.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--grid", default="")
def expand(name, folder, grid):
    """Write a file for each run of the grid into FOLDER; say which backbones they lack, as `needs` does."""
    import json

    from finegrain.run import parameters
    from finegrain.run import sweep as sweeps

    found = notebooks.find(name)
    runs = sweeps.expand(found, grid)
    for number, given in enumerate(runs):
        one = {"notebook": found.name, "given": given, "of": len(runs)}
        files.write_text(folder / "runs" / f"{number:05d}.json", json.dumps(one))
    files.write_text(folder / "count", str(len(runs)))
    known = parameters.declared(found)
    for scale in sorted({sweeps.scale_of(given, known) for given in runs}):
        lacking = [maker for maker in depend.needed(found) if not places.committed(maker, scale).record.exists()]
        if lacking:
            print(f"TASK={','.join(lacking)} SCALE={scale}")


@sweep.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--threads", default=1)
def one(file, threads):
    """Do one run of a sweep, unless its record says that nothing has changed."""
    import dataclasses
    import json

    from finegrain.run import parameters
    from finegrain.run import sweep as sweeps
    from finegrain.run.execute import Outcome, execute, values

    asked = json.loads(file.read_text())
    found, given = notebooks.find(asked["notebook"]), asked["given"]
    scale = sweeps.scale_of(given, parameters.declared(found))
    place = places.separate(found.name, scale, given)
    try:
        outcome = execute(found, place, values(found, scale, given), threads)
    except InputError as error:
        outcome = Outcome(found.name, "failed", error=str(error), bad_input=True)
    except KeyboardInterrupt:
        outcome = Outcome(found.name, "interrupted", error="stopped by a signal")
    print(session.report(dataclasses.replace(outcome, name=place.folder.name)), flush=True)
    sys.exit(_status(outcome))


@sweep.command()
@click.argument("folder", type=click.Path(path_type=Path))
def table(folder):
    """Write the table of a sweep whose runs are in FOLDER."""
    import json

    from finegrain.run import sweep as sweeps

    asked = [json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*.json"))]
    outcomes = {one["name"]: one for one in (json.loads(path.read_text()) for path in folder.glob("*.json"))}
    target, failed = sweeps.collect(notebooks.find(asked[0]["notebook"]), [one["given"] for one in asked], outcomes)
    print(f"{len(asked)} runs, {failed} failed\ntable     {files.shown(target / 'runs.csv')}")
    sys.exit(1 if failed else 0)


@commands.command()
@click.argument("file", type=click.Path(path_type=Path))
def provenance(file):
    """Print where FILE comes from: an executed notebook, claims.json, run.json, or a result beside one."""
    from finegrain.run import provenance as origins

    print(origins.text(file))


@commands.command()
def datasets():
    """List the data sets that `dataset=` takes by name: those that need no download, and public ones on the hub."""
    from finegrain.run import lists

    print(lists.datasets())


@commands.command()
@click.argument("words", nargs=-1)
def models(words):
    """List the models that `backbone=` and `llm=` take by name; WORDS narrow the list of open_clip's pairs."""
    from finegrain.run import lists

    print(lists.models(words))


@commands.command()
@click.argument("target", type=click.Path(path_type=Path))
def graph(target):
    """Write which notebook needs which backbone, as Make rules, to TARGET."""
    files.write_text(target, depend.graph())


@commands.command()
@click.argument("names", nargs=-1)
def strip(names):
    """Bring notebooks into their committed form: no outputs, no counts, an id for each cell."""
    import json

    paths = [notebooks.find(name).path for name in names] or sorted(notebooks.folder().rglob("[!.]*.ipynb"))
    for path in paths:
        if ".ipynb_checkpoints" in path.parts:
            continue
        old = path.read_text(encoding="utf-8")
        new = notebooks.text(notebooks.stripped(json.loads(old)))
        if new != old:
            files.write_text(path, new)
            print(f"stripped {files.shown(path)}")


@commands.command()
@click.argument("name")
@click.option("--task", default="", help="The folder below notebooks/.")
@click.option("--source", default="", help="The notebook to begin with; the template if none is given.")
def new(name, task, source):
    """A new notebook NAME in a task's folder, with its test and README's row, from another one."""
    from finegrain.run import derive

    for path in derive.new(name, task, source):
        print(files.shown(path))
    print("write the claim first, then: make run NB=" + f'{task}/{name} P="scale=smoke"')


@commands.command()
@click.argument("one")
@click.argument("other")
def compare(one, other):
    """Print what differs between two runs, parameters, verdicts and tables.

    A run is a folder of figures, a folder below build/runs, or a notebook's name: retrieval/leaderboard, or for its
    full scale retrieval/leaderboard@full.
    """
    from finegrain.run import compare as runs

    print(runs.text(one, other), end="")


@commands.command()
@click.argument("table", type=click.Path(path_type=Path))
def latex(table):
    """Print a published TABLE (its .md or .csv) as LaTeX, for booktabs."""
    from finegrain.report.latex import latex as as_latex

    print(as_latex(table), end="")


@commands.command()
def readme():
    """Write README's table of papers, and the start page's list, anew from the claims in figures/."""
    from finegrain.run import papers

    papers.update(files.root() / "README.md")
    papers.update_start()


@commands.command()
@click.option("--scale", default="default", show_default=True, help="Of the executed notebooks that are shown.")
def report(scale):
    """Build the site of results from figures/ and the executed notebooks."""
    from finegrain.report.site import build

    places.check_scale(scale)
    front, ran = build(scale)
    print(f"{files.shown(front)}: {len(notebooks.names())} notebooks, {ran} of them with the outputs of this machine")


@commands.group()
def kernel():
    """The Jupyter kernel of the kit."""


@kernel.command()
@click.option("--prefix", default=sys.prefix, help="The environment; by default the one that runs this.")
def install(prefix):
    """Register the kernel `finegrain` in the environment, for a JupyterLab that `make lab` does not start."""
    from finegrain.run import kernel as kernels

    forks = Path(prefix) == Path(sys.prefix) and kernels.provided()
    print(kernels.write_spec(Path(prefix) / "share" / "jupyter" / "kernels", forks=forks))


@commands.command(context_settings={"allow_interspersed_args": False})
@click.option("--threads", default=1, show_default=True, help="Threads of the kernels.")
@click.argument("command", nargs=-1, required=True)
def preloaded(threads, command):
    """Run COMMAND; the kernels that start below it are forked from a process that has imported the heavy packages."""
    from finegrain.run import forked
    from finegrain.run import kernel as kernels

    held = forked.begin(kernels.environment(threads, None, None, online=False))
    if held is not None:
        os.set_inheritable(held, True)  # whatever runs below the command holds it
    os.execvp(command[0], command)


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options):
    """JupyterLab at its start page, on the loopback address with a token, with the kit's kernel and no news pop-up."""
    from finegrain.run import forked
    from finegrain.run import kernel as kernels

    jupyter = files.build("jupyter")
    kernels.write_spec(jupyter / "share" / "kernels", forks=True)
    files.write_text(
        jupyter / "config" / "labconfig" / "default_setting_overrides.json",
        '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}\n',
    )
    for name, folder in (("JUPYTER_PATH", "share"), ("JUPYTER_CONFIG_PATH", "config")):
        os.environ[name] = os.pathsep.join(filter(None, [str((jupyter / folder).resolve()), os.environ.get(name)]))
    forked.begin(dict(os.environ))
    kernels.provide()
    from jupyterlab.labapp import main  # not before it is said where Jupyter finds what

    start = notebooks.folder() / f"{notebooks.START}.ipynb"
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={files.root()}",
        f"--LabApp.default_url=/lab/tree/notebooks{f'/{start.name}' if start.exists() else ''}",
        f"--MultiKernelManager.default_kernel_name={kernels.NAME}",
    ]
    main([*arguments, *options])


def _asked(name: str, text: str):
    """The notebook, the scale and the values that a call asks for, all checked."""
    from finegrain.run import parameters

    found = notebooks.find(name)
    known = parameters.declared(found)
    given = parameters.parse(text, known)
    scale = given.get("scale", known["scale"].default if "scale" in known else "default")
    places.check_scale(scale)
    return found, scale, given


def _wanted(task: str) -> list[str]:
    """The notebooks that TASK=... asks for: names of folders or notebooks, with commas between; empty: all."""
    names = notebooks.names()
    wanted: list[str] = []
    for part in filter(None, task.split(",")):
        here = [name for name in names if name == part or name.startswith(f"{part}/")]
        if not here:
            known = sorted({name.partition("/")[0] for name in names}) + names
            raise InputError(f"there is no task or notebook {part!r}; {notebooks.nearest(part, known)}")
        wanted += here
    return wanted or names


def _status(outcome) -> int:
    if outcome.bad_input:
        return 2
    return {"ran": 0, "unchanged": 0, "interrupted": 130}.get(outcome.status, 1)
