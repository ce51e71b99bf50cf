"""The same of several hosts at the same time: what each of them does costs the others nothing."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bascule.hosts.ssh import RemoteHost

Said = TypeVar("Said")


def on_each(remotes: Iterable[RemoteHost], do: Callable[[RemoteHost], Said]) -> dict[str, Said]:
    """What it returns for each host, by name; a host that is named twice is asked once. Raises what one of them raises.

    Before it returns, or raises, it has ended on all of them.
    """
    several = {remote.name: remote for remote in remotes}
    if len(several) < 2:
        return {name: do(remote) for name, remote in several.items()}
    with ThreadPoolExecutor(len(several)) as pool:
        return dict(zip(several, pool.map(do, several.values()), strict=True))
