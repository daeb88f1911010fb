"""Loads the `method` cells of a notebook as a module, as they are or with a mutation, for the tests beside this file.

A test module names its notebook and holds checks, mutations, and one test of the mutations:

    NOTEBOOK = "vision_language/leaderboard"

    def test_something_holds(method): ...           # a check: its only argument is the module

    MUTATIONS = [("old text", "new text"), ...]     # the old text stands exactly once in the method cells

    @pytest.mark.parametrize(("old", "new"), MUTATIONS)
    def test_a_mutation_is_caught(old, new, survives):
        assert not survives(old, new)               # at least one check fails on the mutated module
"""

import ast
import inspect
import linecache
import warnings
from types import ModuleType

import pytest

from finegrain.run import notebooks, parameters


def load_methods(name: str, *mutation: str) -> ModuleType:
    """The definitions in a notebook's `method` cells as a module; nothing else of the notebook runs.

    Of the other code cells only the imports that the definitions use are carried out, and of the parameters those that
    they use have their declared values. mutation: a text that stands exactly once in the method cells, and what to
    put in its place.
    """
    notebook = notebooks.find(name)
    cells = [(f"<{name}: {cell.id}>", cell.source) for cell in notebook.tagged("method")]
    if mutation:
        old, new = mutation
        found = sum(source.count(old) for _, source in cells)
        assert found == 1, f"{old!r} stands {found} times in the method cells of {name}: bring the mutation up to date"
        cells = [(label, source.replace(old, new)) for label, source in cells]
    used = {n.id for _, source in cells for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}
    module = ModuleType(name)
    values = {known: parameter.default for known, parameter in parameters.declared(notebook).items() if known in used}
    vars(module).update(values)
    for label, source in [(f"<{name}: imports>", _imports(notebook, used)), *cells]:
        linecache.cache[label] = (len(source), None, source.splitlines(keepends=True), label)  # lines in tracebacks
        exec(compile(source, label, "exec"), vars(module))
    return module


def _imports(notebook, used: set[str]) -> str:
    """The import statements of the code cells that are not `method` cells, without the names that are not used."""
    lines = []
    for cell in notebook.cells:
        if cell.kind == "code" and "method" not in cell.tags:
            for statement in ast.parse(cell.source).body:
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    names = [a for a in statement.names if (a.asname or a.name).partition(".")[0] in used]
                    statement.names = names
                    lines += [ast.unparse(statement)] if names else []
    return "\n".join(lines)


@pytest.fixture(scope="module")
def method(request) -> ModuleType:
    """The method cells of the notebook that the test module names."""
    return load_methods(request.module.NOTEBOOK)


@pytest.fixture
def survives(request):
    """A function of a mutation that says whether all checks of the test module pass on the mutated method."""
    functions = [function for name, function in vars(request.module).items() if name.startswith("test_")]
    checks = [function for function in functions if list(inspect.signature(function).parameters) == ["method"]]

    def survives(old, new):
        mutated = load_methods(request.module.NOTEBOOK, old, new)
        for check in checks:
            try:
                with warnings.catch_warnings(action="ignore"):
                    check(mutated)
            except NameError:
                raise  # a slip in the mutation, not in the method
            except Exception:
                return False
        return True

    return survives
