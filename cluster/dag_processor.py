"""`airflow dag-processor`, which looks every three seconds while it reads no file, not each second.

What it looks for is nothing that a day waits for: files that somebody wants read again, and callbacks of whole runs.
"""

import sys

from airflow.__main__ import main
from airflow.cli.commands import dag_processor_command
from airflow.dag_processing.manager import DagFileProcessorManager

IDLE_SECONDS = 2.0  # more than Airflow's second


class PacedDagFileProcessorManager(DagFileProcessorManager):
    def _service_processor_sockets(self, timeout: float | None = 1.0) -> None:
        idle = bool(timeout) and not self._processors
        super()._service_processor_sockets(timeout=timeout + IDLE_SECONDS if idle else timeout)


dag_processor_command.DagFileProcessorManager = PacedDagFileProcessorManager
if __name__ == "__main__":
    sys.argv[0] = "airflow"
    main()
