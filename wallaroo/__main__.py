"""``python -m wallaroo`` is ``wallaroo-run``."""

import importlib

if __name__ == "__main__":
    # Nothing in this package imports commands, so the module is found by its name.
    importlib.import_module("wallaroo_cli.entry").run()
