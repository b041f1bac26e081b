"""The page's JavaScript modules: what they import, and that their types are checked."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = ROOT / "workers" / "wallaroo_workers" / "dashboard" / "static" / "js"
IMPORT = re.compile(r"""^(?:import|export)\b[^;"']*["'](\.[^"']+)["']""", re.MULTILINE)


def imports_of(folder: Path) -> dict[Path, list[Path]]:
    """Return what each module below ``folder`` imports."""
    return {
        path.resolve(): [
            (path.parent / name).resolve() for name in IMPORT.findall(path.read_text())
        ]
        for path in folder.rglob("*.js")
    }


def circle_in(imports: dict[Path, list[Path]]) -> list[str]:
    """Return the names of modules that import each other in a circle; none if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return [path.name for path in error.args[1]]
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = imports_of(MODULES)
    assert len(imports) > 30
    assert all(path.exists() for imported in imports.values() for path in imported)
    assert circle_in(imports) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import {\n  b,\n} from "./b.js";\n')
    (tmp_path / "b.js").write_text('// @ts-check\nexport { c } from "./c.js";\n')
    (tmp_path / "c.js").write_text('import "./a.js";\n')
    assert {*circle_in(imports_of(tmp_path))} == {"a.js", "b.js", "c.js"}


@pytest.mark.parametrize("path", sorted(MODULES.rglob("*.js")), ids=lambda path: path.name)
def test_editors_check_the_types_of_each_module(path: Path) -> None:
    assert path.read_text().startswith("// @ts-check\n")
