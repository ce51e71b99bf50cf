"""The files of the tasks' logs, on a disk that may be full.

Airflow's supervisor of a task ends with the first line that it can't write, and the task with it: a full disk of the
logs would cost the day every task that runs, one try after the other. So a line that the disk refuses goes into the log
of the process, which is the container's.
"""

import contextlib
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path, PosixPath
from typing import Any

from airflow.sdk import log as airflow_log

from bascule.text.reason import reason

STANDARD_ERROR = 2


class LogPath(PosixPath):
    """The path of a log as Airflow opens it: to be written, it takes every line."""

    def open(self, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        """A `LogFile` for `ab` and `wb`, in which Airflow opens its logs."""
        return LogFile(self, mode) if mode in ("ab", "wb") else super().open(mode, *arguments, **named)


class LogFile(io.RawIOBase):
    """A log that takes every line. Once the disk has room again, a line says how many are missing, and why."""

    def __init__(self, path: Path, mode: str) -> None:
        self.name = str(path)
        self._path, self._mode = path, mode
        self._file: io.FileIO | None = None
        self._missing, self._why = 0, ""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Raises OSError when the file can't be opened."""
        return self._opened().fileno()

    def write(self, line: Any) -> int:
        """Write one line whole, or none of it."""
        if self.closed:
            raise ValueError("I/O operation on closed file")
        try:
            self._put((self._gap() if self._missing else b"") + bytes(line))
            self._missing = 0
        except OSError as error:
            self._missing, self._why = self._missing + 1, reason(error)
            _say(f"bascule: {self.name} can't be written ({self._why}): ".encode() + bytes(line))
        return len(line)

    def close(self) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()
        super().close()

    def _opened(self) -> io.FileIO:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = io.FileIO(self._path, self._mode)
        return self._file

    def _put(self, data: bytes) -> None:
        file = self._opened()
        end, rest = os.fstat(file.fileno()).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
                file.seek(end)
            raise

    def _gap(self) -> bytes:
        """A line in the form of Airflow's own."""
        event = f"{self._missing} line(s) could not be written here ({self._why}): the container's log has them"
        line = {"timestamp": datetime.now(UTC).isoformat(), "level": "warning", "event": event, "logger": __name__}
        return json.dumps(line).encode() + b"\n"


def bear_full_disks() -> None:
    """Let this process of Airflow open all its logs as `LogPath`s, before it imports the modules that open them."""
    made = airflow_log.init_log_file

    def init_log_file(local_relative_path: str) -> Path:
        return LogPath(made(local_relative_path))

    airflow_log.init_log_file = init_log_file


def _say(line: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(STANDARD_ERROR, line)
