"""Builds the compiled modules if there is a C compiler; without one the package works in Python.

`WALLAROO_COMPILE=0` leaves it out. An editable installation gets the extension beside its source.
"""

import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = (
    Path("wallaroo", "codec", "_compiled.pyx"),
    Path("wallaroo", "routing", "_compiled.pyx"),
)


class CompiledModules(BuildHookInterface[Any]):
    """Adds the extension modules to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, if that can be done here."""
        if self.target_name != "wheel" or os.environ.get("WALLAROO_COMPILE") == "0":
            return
        self._folder = tempfile.mkdtemp()
        try:
            built = {
                source: _compile(Path(self.root), source, Path(self._folder, str(number)))
                for number, source in enumerate(SOURCES)
            }
        except (Exception, SystemExit) as error:  # noqa: BLE001  a compiler can fail in any way
            self.app.display_warning(f"building without compiled modules: {error}")
            return
        for source, extension in built.items():
            name = f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
            if version == "editable":
                beside = Path(self.root, source).with_name(name)
                # Renamed into place: a running process keeps the one that it has mapped.
                shutil.copy(extension, beside.with_suffix(".new"))
                beside.with_suffix(".new").replace(beside)
                continue
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["force_include"][str(extension)] = str(source.with_name(name))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)


def _compile(root: Path, source: Path, folder: Path) -> Path:
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    folder.mkdir()
    module = ".".join(source.with_suffix("").parts)
    copy = shutil.copy(root / source, folder)
    headers = [str((root / source).parent)]
    extensions = cythonize(
        [Extension(module, [copy], include_dirs=headers)], build_dir=str(folder), quiet=True
    )
    distribution = Distribution({"ext_modules": extensions})
    command: Any = distribution.get_command_obj("build_ext")
    command.build_lib = command.build_temp = str(folder)
    command.ensure_finalized()
    command.run()
    return Path(command.get_outputs()[0])
