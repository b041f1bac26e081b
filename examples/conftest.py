"""Lets the tests import each example by its own name, as `wallaroo-run` does in its folder."""

import sys
from pathlib import Path

for folder in sorted(Path(__file__).parent.iterdir()):
    if (folder / f"{folder.name}.py").is_file() and str(folder) not in sys.path:
        sys.path.append(str(folder))
