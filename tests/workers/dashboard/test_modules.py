"""The imports of the page's modules: no module imports itself through others."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from wallaroo_workers import dashboard

MODULES = Path(dashboard.__file__).parent / "static" / "js"
IMPORT = re.compile(r"""(?:from|import)\s+["'](\.[^"']+)["']""")


def imports_of(module: Path) -> set[Path]:
    """Return the modules of the page that ``module`` imports."""
    found = {(module.parent / name).resolve() for name in IMPORT.findall(module.read_text())}
    return {path for path in found if MODULES in path.parents}


def graph() -> dict[Path, set[Path]]:
    return {module: imports_of(module) for module in sorted(MODULES.resolve().rglob("*.js"))}


def test_each_imported_module_exists() -> None:
    modules = graph()
    assert {path for imported in modules.values() for path in imported} <= modules.keys()
    assert sum(map(len, modules.values())) > len(modules), "the pattern finds imports"


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        circle = " -> ".join(path.name for path in error.args[1])
        pytest.fail(f"these modules import each other: {circle}")
