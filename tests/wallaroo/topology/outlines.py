"""Applications whose outlines are compared with stored ones: the format of checkpoints.

``python -m tests.wallaroo.topology.outlines`` stores them again. Do that only for applications that
are new: a checkpoint of an application whose outline has changed cannot be used.
"""

import runpy
from collections.abc import Callable
from pathlib import Path

from tests.wallaroo.operators.chain_applications import APPLICATIONS as WRITTEN
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application

STORED = Path(__file__).with_name("outlines.txt")
EXAMPLES = Path(__file__).parents[3] / "examples"
ARGUMENTS = ["--in", "h:7001,h:7002", "--out", "h:7003"]


def _example(path: Path) -> Callable[[], Application]:
    def build() -> Application:
        # The name of the run module is in the outline, so it does not depend on who imports it.
        setup = runpy.run_path(str(path), run_name=path.stem)["application_setup"]
        plan: Application = setup(ARGUMENTS)
        return plan

    return build


APPLICATIONS: dict[str, Callable[[], Application]] = {
    **WRITTEN,
    **{
        f"example {folder.name}": _example(folder / f"{folder.name}.py")
        for folder in sorted(EXAMPLES.iterdir())
        if (folder / f"{folder.name}.py").exists()
    },
}


def stored_form(name: str) -> str:
    """Return the outline of an application as it is stored."""
    return "\n".join([f"# {name}", *outline(APPLICATIONS[name]())])


if __name__ == "__main__":
    STORED.write_text("\n\n".join(map(stored_form, APPLICATIONS)) + "\n")
