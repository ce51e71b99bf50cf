"""The account's mail during its move: kept at the MX, seen on its way, and let go again."""

import re
import time
from collections.abc import Collection, Iterator
from functools import cached_property, partial

from bascule.changes import probes
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.postfix import queue
from bascule.hosts.postfix.queue import Waiting
from bascule.ledger.moves import Server, other
from bascule.moves.entry import Entry, part_of
from bascule.text.logs import get_logger

log = get_logger(__name__)

SEEN_SECONDS = 15.0  # until the MX sees what the directory says
LET_GO_SECONDS = 45.0  # longer than the 30 s for which Postfix's queue manager may remember a route
LOOK_EVERY = 0.3


class NotQuiet(AccessError):
    """Raised when mail is still on its way to the server that an account leaves."""


class Mail:
    """The mail of one account, at the MX and in the queues of both servers."""

    def __init__(self, access: Access, account: str, entry: Entry) -> None:
        self.account, self.entry, self.part = account, entry, part_of(access)
        site = access.site
        self.mx = access.remote(site.queues.mx)
        self.servers = {"old": site.queues.old, "new": site.services.reception_new.host}
        self.remotes = {server: access.remote(host) for server, host in self.servers.items() if host}
        self.short = f"{account}@{site.domain}"
        self.words = re.sub(r"^retry:\S+ ", "", self.part.hold_value)  # as the queue shows them

    @cached_property
    def addresses(self) -> dict[Server, str]:
        """The final address on each server. Raises DirectoryError."""
        return self.entry.addresses()

    def hold(self) -> None:
        """Put the hold into the directory and see that the MX knows it for both final addresses."""
        self.entry.hold()
        for address in self.addresses.values():
            if not probes.wait_for(partial(self.is_held_at_mx, address), SEEN_SECONDS, LOOK_EVERY):
                raise AccessError(
                    f"{self.mx.name} does not hold mail for {address}: `postmap -q` finds no {self.part.hold_value!r} "
                    "in its transport_maps. See docs/moves.md, and whether it asks the same directory"
                )
        queue.forget_route(self.mx)  # else the next message of the same sender goes the way of the last one

    def is_held_at_mx(self, address: str) -> bool:
        return queue.looked_up(self.mx, "transport_maps", address) == self.part.hold_value

    def wait_until_quiet(self, to: Server) -> None:
        """Wait until nothing is on its way to the server that the account leaves. Raises NotQuiet."""
        addresses = {*self.addresses.values(), self.short}
        deadline = time.monotonic() + self.part.longest_hold / 2
        while left := [*self._at_mx(addresses), *self._at_server(other(to), addresses)]:
            if time.monotonic() > deadline:
                raise NotQuiet(
                    f"after {self.part.longest_hold / 2:.0f} s mail is still on its way to the server that "
                    f"{self.account} leaves: {'; '.join(left[:5])}. See why it stays there, then run it again"
                )
            time.sleep(LOOK_EVERY)

    def release(self) -> None:
        """Take the hold away and send on what has waited, looked up anew. Raises AccessError while some is held."""
        addresses = {*self.addresses.values()}
        self.entry.release()
        held = {each.queue_id for each in self._held(addresses)}
        if not held:
            return
        log.info("mail has waited for the move", account=self.account, messages=len(held), host=self.mx.name)
        queue.forget_route(self.mx)
        queue.requeue(self.mx, held)
        if not probes.wait_for(lambda: self._let_go(addresses), LET_GO_SECONDS, every=1.0):
            raise AccessError(
                f"{self.mx.name} still holds mail for {self.account}, though the directory says otherwise"
            )

    def _let_go(self, addresses: Collection[str]) -> bool:
        left = {each.queue_id for each in self._held(addresses)}
        queue.try_now(self.mx, left)
        return not left

    def _held(self, addresses: Collection[str]) -> list[Waiting]:
        return [each for each in queue.waiting_for(self.mx, addresses) if self.words in each.reason]

    def _at_mx(self, addresses: Collection[str]) -> Iterator[str]:
        """What the MX may still deliver. What it deferred for another reason is tried, so that it meets the hold."""
        for each in queue.waiting_for(self.mx, addresses):
            if each.queue == queue.HOLD or (each.queue == "deferred" and self.words in each.reason):
                continue
            if each.queue == "deferred":
                queue.try_now(self.mx, [each.queue_id])
            yield _sentence(self.mx.name, each)

    def _at_server(self, server: Server, addresses: Collection[str]) -> Iterator[str]:
        remote = self.remotes.get(server)
        for each in queue.waiting_for(remote, addresses) if remote else ():
            yield _sentence(remote.name if remote else "", each)


def _sentence(host: str, waiting: Waiting) -> str:
    why = f", because: {waiting.reason}" if waiting.reason else ""
    return f"{waiting.queue_id} to {waiting.address} is {waiting.queue} on {host}{why}"
