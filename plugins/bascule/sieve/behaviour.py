"""Proof by behaviour: the old and the new script run on the account's own mail, on the new host, by `sieve-test`."""

from dataclasses import dataclass

from bascule.access import RemoteHost
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.plan import Plan
from bascule.sieve.servers import FilterServer


@dataclass(frozen=True)
class Proof:
    """Where filters are run, and where the mail for it comes from. `sample`: how many of the most recent messages."""

    host: RemoteHost
    mail: FilterServer
    sample: int = 20

    def compare(self, account: str, plan: Plan, folders: FolderMap) -> None:
        """Write into the plan what the new script does otherwise, and what the repaired one would."""
