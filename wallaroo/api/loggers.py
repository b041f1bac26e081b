"""The log of the user's modules."""

import logging

APPLICATION_LOGGER = "application"
"""The standard-library logger above all loggers of the application."""


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the application's logger, or the one called ``name`` below it.

    A worker routes it into its own structured log, with the worker's name; elsewhere, as in a unit
    test, it is an ordinary logger.
    """
    return logging.getLogger(f"{APPLICATION_LOGGER}.{name}" if name else APPLICATION_LOGGER)
