"""The logger for the user's modules."""

import logging

APPLICATION_LOGGER = "application"
"""The name of the logger above all loggers of the application."""


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the application's logger, or the logger ``name`` below it.

    A worker writes its lines to its own structured log, with the name of the worker. Elsewhere,
    such as in a unit test, it is an ordinary logger.
    """
    return logging.getLogger(f"{APPLICATION_LOGGER}.{name}" if name else APPLICATION_LOGGER)
