"""The only logger of the package: log lines with fields, in which names and words of unknown origin do no harm.

They are written by structlog, which is imported with the first line that is really written: its import brings rich and
costs a fifth of a second, and a quiet pass by command line writes no line at all.
"""

import logging
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bascule.text.harmless import harmless

INFO, WARNING, NOTHING = logging.INFO, logging.WARNING, logging.CRITICAL


class Logger:
    """structlog's logger of this name. Lines below the level `least` are not written.

    The sentence and the fields are made harmless: names and words of servers are of unknown origin, and people read
    logs in terminals.
    """

    least = logging.NOTSET

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, /, **fields: Any) -> None:
        self._write(logging.DEBUG, "debug", event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        self._write(logging.INFO, "info", event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        self._write(logging.WARNING, "warning", event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        self._write(logging.ERROR, "error", event, fields)

    def exception(self, event: str, /, **fields: Any) -> None:
        """An error with the traceback of the exception that is handled now."""
        self._write(logging.ERROR, "exception", event, fields)

    def _write(self, level: int, method: str, event: str, fields: dict[str, Any]) -> None:
        if level < self.least:
            return
        import structlog

        shown = {name: _harmless(value) for name, value in fields.items()}
        getattr(structlog.get_logger(self._name), method)(harmless(event), **shown)


def _harmless(value: Any) -> Any:
    """The value of a field with all text in it made harmless; what is neither text nor a number becomes text."""
    if value is None or isinstance(value, int | float | datetime):
        return value
    if isinstance(value, Mapping):
        return {harmless(str(key)): _harmless(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_harmless(item) for item in value]
    return harmless(str(value))


def get_logger(name: str) -> Logger:
    return Logger(name)


def to_standard_error(least: int) -> None:
    """For command lines: lines of this level and above (`INFO`, `WARNING`, `NOTHING`) to the standard error."""
    Logger.least = least
    if least == NOTHING:
        return
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
