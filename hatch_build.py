"""Builds the compiled framing where there is a C compiler; without one the package is as it is.

`WALLAROO_COMPILE=0` leaves it out. An editable installation gets the extension beside its source.
"""

import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("wallaroo", "codec", "_compiled.pyx")


class CompiledFraming(BuildHookInterface[Any]):
    """Adds one extension module to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, if that can be done here."""
        if self.target_name != "wheel" or os.environ.get("WALLAROO_COMPILE") == "0":
            return
        name = f"{SOURCE.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
        self._folder = tempfile.mkdtemp()
        try:
            built = _compile(Path(self.root, SOURCE), Path(self._folder))
        except (Exception, SystemExit) as error:  # noqa: BLE001  a compiler can fail in any way
            self.app.display_warning(f"building without compiled framing: {error}")
            return
        if version == "editable":
            beside = Path(self.root, SOURCE).with_name(name)
            # Renamed into place: a running process keeps the one that it has mapped.
            shutil.copy(built, beside.with_suffix(".new"))
            beside.with_suffix(".new").replace(beside)
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"][str(built)] = str(SOURCE.with_name(name))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)


def _compile(source: Path, folder: Path) -> Path:
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    module = ".".join(SOURCE.with_suffix("").parts)
    copy = shutil.copy(source, folder)
    extensions = cythonize([Extension(module, [copy])], build_dir=str(folder), quiet=True)
    distribution = Distribution({"ext_modules": extensions})
    command: Any = distribution.get_command_obj("build_ext")
    command.build_lib = command.build_temp = str(folder)
    command.ensure_finalized()
    command.run()
    return Path(command.get_outputs()[0])
