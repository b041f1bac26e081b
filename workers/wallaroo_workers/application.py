"""Loads the user's module and builds its plan; mistakes are reported with the user's own lines."""

import asyncio
import base64
import contextlib
import dataclasses
import importlib
import os
import sys
import sysconfig
import traceback
from types import ModuleType, TracebackType
from typing import Any

import wallaroo
from wallaroo.api.original import set_command_line
from wallaroo.describing import error_text, text_of
from wallaroo.errors import ConfigError, WallarooError
from wallaroo.suggestions import did_you_mean
from wallaroo.topology.plan import Application
from wallaroo_workers.plan_pickles import PlanPickle, unpickled_plan
from wallaroo_workers.settings import ApplicationSettings

_FAILURES = (Exception, GeneratorExit, asyncio.CancelledError)
"""What code of the application may raise while it is loaded; Ctrl-C is not a failure of it."""


def load_plan(settings: ApplicationSettings) -> Application:
    """Import the application and return its plan. Raises ``WallarooError`` with the remedy."""
    # Modules of an application may look at it while they are imported.
    set_command_line(settings.command_line or settings.arguments)
    # Last in the path, so that a user's file never hides one of our libraries.
    sys.path.extend(path for path in settings.paths if path not in sys.path)
    if settings.plan:
        return _imported_again(settings)
    module = _imported(settings)
    if (hidden := _hidden_by(module, settings)) is not None:
        raise ConfigError(
            f"the name {settings.module!r} means {module.__name__} in "
            f"{getattr(module, '__file__', None) or 'Python itself'}, not {_shown_path(hidden)}",
            hint="rename your module; that one is needed by Python or by wallaroo itself",
        )
    setup = getattr(module, "application_setup", None)
    if not callable(setup):
        raise ConfigError(
            f"{_place(module)} has no function application_setup",
            hint="define `def application_setup(args):` that returns the builder's build()",
        )
    plan = _built(setup, settings)
    if not isinstance(plan, Application):
        raise ConfigError(
            f"application_setup in {_place(module)} returned {type(plan).__name__}, "
            "not an application",
            hint="end it with `return application.build()`, where application is your "
            "wallaroo.ApplicationBuilder",
        )
    return dataclasses.replace(plan, **_serialization(module))


def _imported(settings: ApplicationSettings) -> ModuleType:
    try:
        return importlib.import_module(settings.module)
    except ModuleNotFoundError as error:
        if error.name != settings.module.split(".")[0] and error.name != settings.module:
            raise _of_user(error, f"module {settings.module!r} cannot be imported") from error
        searched = ", ".join(settings.paths)
        raise ConfigError(
            f"there is no module {settings.module!r} in {searched}",
            hint=f"{_near_module(settings)}start the command in the folder of the module, give the "
            "path of its file, or add its folder with --application-path",
        ) from error
    except SystemExit as error:
        raise ConfigError(
            f"module {settings.module!r} ended the process with status "
            f"{text_of(error.code, str)} when it was imported",
            hint='put code that belongs only to a script below `if __name__ == "__main__":`',
        ) from error
    except _FAILURES as error:
        raise _of_user(error, f"module {settings.module!r} cannot be imported") from error


def _imported_again(settings: ApplicationSettings) -> Application:
    """Return the plan that a program has pickled."""
    data = base64.b64decode(settings.plan)
    try:
        plan = unpickled_plan(PlanPickle(data=data, main=settings.main, files=settings.files))
    except WallarooError:
        raise
    except (*_FAILURES, SystemExit) as error:
        raise _of_user(error, "a module of the application cannot be imported again") from error
    assert isinstance(plan, Application)
    return plan


def _near_module(settings: ApplicationSettings) -> str:
    """Return a suggestion if a file there has a similar name, or ``""``."""
    known = []
    for folder in settings.paths:
        with contextlib.suppress(OSError):
            known += [name.removesuffix(".py") for name in os.listdir(folder) if name[-3:] == ".py"]
    return did_you_mean(settings.module.removesuffix(".py"), known, str)


def _hidden_by(module: ModuleType, settings: ApplicationSettings) -> str | None:
    """Return the user's file of that name if another module with the name was found first."""
    relative = settings.module.replace(".", os.sep)
    for path in settings.paths:
        for file in (f"{relative}.py", os.path.join(relative, "__init__.py")):
            own = os.path.join(path, file)
            if os.path.exists(own):
                found = getattr(module, "__file__", None)
                is_same = found is not None and os.path.samefile(found, own)
                return None if is_same else own
    return None


def _built(setup: Any, settings: ApplicationSettings) -> object:
    try:
        return setup(list(settings.arguments))
    except WallarooError:
        raise
    except SystemExit as error:
        raise ConfigError(
            f"application_setup ended the process with status {text_of(error.code, str)}",
            hint="if it parses arguments, let it ignore unknown ones (parse_known_args)",
        ) from error
    except _FAILURES as error:
        raise _of_user(error, "application_setup failed") from error


def _serialization(module: ModuleType) -> dict[str, Any]:
    functions = {
        name: value
        for name in ("serialize", "deserialize")
        if callable(value := getattr(module, name, None))
    }
    if len(functions) == 1:
        (name,) = functions
        raise ConfigError(
            f"{_place(module)} defines {name} without its counterpart",
            hint="define both serialize and deserialize, or neither to use pickle",
        )
    return functions


def _place(module: ModuleType) -> str:
    return _shown_path(getattr(module, "__file__", None) or module.__name__)


def _of_user(error: BaseException, what: str) -> ConfigError:
    """Return an error with the user's file and line, and Python's message."""

    if isinstance(error, SyntaxError) and error.filename:
        place = f"{_shown_path(error.filename)}:{error.lineno}"
        said = f"{type(error).__name__}: {error.msg}"
    else:
        place = _innermost_place(error.__traceback__)
        said = f"{error_text(error)}"
    return ConfigError(
        f"{what}: {place}: {said}" if place else f"{what}: {said}",
        hint="fix it there; --debug shows the whole traceback",
    )


def _innermost_place(trace: TracebackType | None) -> str:
    """Return file and line of the last call in a file that is neither Python's nor installed."""
    for frame in reversed(traceback.extract_tb(trace)):
        is_written = not frame.filename.startswith("<")
        if is_written and not os.path.abspath(frame.filename).startswith(_FOREIGN_FOLDERS):
            return f"{_shown_path(frame.filename)}:{frame.lineno}"
    return ""


def _shown_path(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


_FOREIGN_FOLDERS = tuple(
    os.path.abspath(folder) + os.sep
    for folder in (
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        os.path.dirname(wallaroo.__file__),
        os.path.dirname(__file__),
    )
)
