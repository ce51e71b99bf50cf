"""Log lines with fields, written by structlog, which is imported with the first line that is really written.

Its import brings rich and costs a fifth of a second; a quiet pass by command line writes no line at all.
"""

import logging
import sys
from typing import Any

from bascule.text import harmless


class Logger:
    """structlog's logger of this name, as far as the engine uses it. Lines below the level `least` are not written.

    Fields are made harmless: names and words of servers are of unknown origin, and people read logs in terminals.
    """

    least = logging.NOTSET

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, event: str, /, **fields: Any) -> None:
        if self.least <= logging.INFO:
            self._structlog().info(event, **_shown(fields))

    def warning(self, event: str, /, **fields: Any) -> None:
        if self.least <= logging.WARNING:
            self._structlog().warning(event, **_shown(fields))

    def _structlog(self) -> Any:
        import structlog

        return structlog.get_logger(self._name)


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: harmless(value) if isinstance(value, str) else value for name, value in fields.items()}


def get_logger(name: str) -> Logger:
    return Logger(name)


def to_standard_error(verbose: bool) -> None:
    """For command lines: every step to the standard error, or, unless that is asked for, nothing of this kind."""
    if not verbose:
        Logger.least = logging.ERROR
        return
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
