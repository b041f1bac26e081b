"""Finds the application that ``wallaroo-run`` runs, by the name of its module or by its file."""

import itertools
import os
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import click

from wallaroo.errors import ConfigError
from wallaroo.suggestions import did_you_mean, nearest
from wallaroo_workers.logs import get_logger

log = get_logger()

MODULE_OPTION = "--application-module"
APPLICATION_OPTIONS = ("--in", "--out")
"""Common options of applications; without this list ``--in`` looks like a misspelled ``--join``."""
WITH_VALUE = (*APPLICATION_OPTIONS, "-i", "-o")
PLAN_FORMS = ("text", "dot")
SIMILARITY_TO_WARN = 0.8
SIMILARITY_TO_REFUSE = 0.55
"""Lower, because without the option there is nothing to run: ``--module`` should be recognised."""


class ApplicationModule(NamedTuple):
    """The module to import."""

    module: str
    folder: str | None
    """The folder that it is in, if it was given as a path."""


def application_named(text: str) -> ApplicationModule:
    """Parse the name of a module, or the path of its file with or without ``.py``.

    The resulting folder is the one to import from: for a file of a package, the folder that the
    package is in. Raises ``ConfigError`` if the file does not exist.
    """
    file = next(filter(os.path.isfile, _candidates(text)), None)
    if not (os.sep in text or text.endswith(".py")):
        return ApplicationModule(text, None)
    if file is None:
        raise ConfigError(
            f"the file {text.removesuffix('.py')}.py does not exist", hint=_near_file(text)
        )
    folder, name = os.path.split(os.path.abspath(file))
    parts = [name.removesuffix(".py")]
    if "." in parts[0]:
        raise ConfigError(
            f"{text} cannot be imported: its name has a dot in it",
            hint=f"rename it, for example to {parts[0].replace('.', '_')}.py",
        )
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        parts.insert(0, package)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ApplicationModule(".".join(parts), folder)


def _near_file(text: str) -> str:
    folder, name = os.path.split(text.removesuffix(".py") + ".py")
    names = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    files = [each for each in names if each.endswith(".py")]
    meant = did_you_mean(name, files, partial(os.path.join, folder))
    return f"{meant}give the path of the application's file, or the name of its module"


def _candidates(text: str) -> list[str]:
    return [text] if text.endswith(".py") else [f"{text}.py", os.path.join(text, "__init__.py")]


def split_application(arguments: Sequence[str], ours: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the application and the other arguments, if no option names the application.

    The first argument that is not an option names it. After an option that is not in ``ours`` it is
    unknown whether the next argument is its value, so the search ends there. Raises
    ``click.UsageError`` if no argument names the application.
    """
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        name, equals, _ = arguments[at].partition("=")
        if not equals and name not in WITH_VALUE:
            break
        at += 1 if equals else 2
    if at < len(arguments) and not arguments[at].startswith("-"):
        return arguments[at], (*arguments[:at], *arguments[at + 1 :])
    for argument in arguments:
        name = argument.partition("=")[0]
        if not name.startswith("-") or name in WITH_VALUE:
            continue
        near = nearest(name, ours, SIMILARITY_TO_WARN)
        if near is None:
            near = nearest(name, [MODULE_OPTION], SIMILARITY_TO_REFUSE)
        if near is not None:
            raise click.UsageError(f"No such option {name!r}. Did you mean {near!r}?")
    raise click.UsageError(
        "No application to run. Give the name of its module or its file before all "
        f"options of the application, as in 'wallaroo-run alphabet.py', or use {MODULE_OPTION!r}."
    )


def with_plan_form(args: Sequence[str]) -> list[str]:
    """Return the command line with ``--plan`` as ``--plan=text`` if an application follows it."""
    found = list(args)
    for index, (argument, following) in enumerate(itertools.pairwise(args)):
        is_application = following.endswith(".py") or any(
            map(os.path.isfile, _candidates(following))
        )
        if argument == "--plan" and is_application and following not in PLAN_FORMS:
            found[index] = "--plan=text"
    return found


def warn_of_misspelled(arguments: Sequence[str], ours: Sequence[str]) -> None:
    """Warn of options that go to the application but look like misspelled options of ours."""
    for argument in arguments:
        name = argument.partition("=")[0]
        if not name.startswith("-") or name in APPLICATION_OPTIONS:
            continue
        if near := nearest("--" + name.lstrip("-"), ours, SIMILARITY_TO_WARN):
            log.warning("option.passed_on", option=name, to="the application", did_you_mean=near)
