"""Options of ``wallaroo-run`` that are paths; they are resolved in the folder of the command."""

import os
from typing import Any

import click


def absolute_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of all options with absolute paths.

    This has to happen early: the application may change the current folder when it is imported.
    """
    absolute = dict(values)
    for parameter in click.get_current_context().command.params:
        path = None if parameter.name is None else absolute.get(parameter.name)
        if path and isinstance(parameter.type, click.Path):
            is_one = isinstance(path, str)
            absolute[parameter.name or ""] = (
                os.path.abspath(path) if is_one else tuple(map(os.path.abspath, path))
            )
    return absolute
