"""The account's mail during its move: kept at the MX, seen on its way, and let go again."""

import re
import time
from collections.abc import Collection, Iterable, Iterator

from bascule.changes import probes
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.postfix import queue, settings
from bascule.hosts.postfix.queue import Waiting
from bascule.hosts.side_by_side import on_each
from bascule.hosts.ssh import RemoteHost
from bascule.ledger.moves import Server, other
from bascule.moves.entry import Entry, part_of
from bascule.moves.machine import EntryGone
from bascule.text.logs import get_logger

log = get_logger(__name__)

SEEN_SECONDS = 15.0  # until the MX sees what the directory says
LET_GO_SECONDS = 45.0  # longer than the 30 s for which Postfix's queue manager may remember a route
UNTRIED_SECONDS = 3.0  # until what came right before the release has met the hold, or is delivered
PROVEN_SECONDS = 5.0  # until an MX sees what the directory has said since the release
LOOK_EVERY = 0.3


class NotQuiet(AccessError):
    """Raised when mail is still on its way to the server that an account leaves."""


class Mail:
    """The mail of one account, at every MX and in the queues of both servers."""

    def __init__(self, access: Access, account: str, entry: Entry) -> None:
        self.account, self.entry, self.part = account, entry, part_of(access)
        site = access.site
        self.exchangers = [access.remote(host) for host in self.part.exchangers or [site.queues.mx]]
        self.servers = {"old": site.queues.old, "new": site.services.reception_new.host}
        self.remotes = {server: access.remote(host) for server, host in self.servers.items() if host}
        self.short = f"{account}@{site.domain}"
        self.words = {_words(self.part.hold_value)}

    @property
    def addresses(self) -> dict[Server, str]:
        """The final address on each server. Raises DirectoryError."""
        return self.entry.addresses()

    def open(self) -> None:
        """Learn what the acts need to know, on connections that they find open. Raises AccessError."""
        on_each([*self.exchangers, *self.remotes.values()], settings.of)

    def hold(self) -> None:
        """Put the hold into the directory and see that every MX knows it for both final addresses."""
        self.entry.hold()
        on_each(self.exchangers, self._see_held)

    def _see_held(self, mx: RemoteHost) -> None:
        deadline = time.monotonic() + SEEN_SECONDS
        while missing := self._not_held(mx):
            if time.monotonic() > deadline:
                raise AccessError(
                    f"{mx.name} does not hold mail for {missing[0]}: `postmap -q` finds no {self.part.hold_value!r} "
                    "in its transport_maps. See docs/moves.md, and whether it asks the same directory"
                )
            time.sleep(LOOK_EVERY)
        queue.forget_route(mx)  # else the next message of the same sender goes the way of the last one

    def _not_held(self, mx: RemoteHost) -> list[str]:
        addresses = self.addresses.values()
        said = queue.looked_up(mx, ["transport_maps"], addresses)
        return [address for address in addresses if said.get(address) != self.part.hold_value]

    def wait_until_quiet(self, to: Server) -> float:
        """Wait until nothing is on its way to the server that the account leaves. Returns what the last look took.

        Raises NotQuiet.
        """
        addresses = {*self.addresses.values(), self.short}
        deadline, began = time.monotonic() + self.part.longest_hold / 2, time.monotonic()
        while left := self._on_its_way(other(to), addresses):
            if time.monotonic() > deadline:
                raise NotQuiet(
                    f"after {self.part.longest_hold / 2:.0f} s mail is still on its way to the server that "
                    f"{self.account} leaves: {'; '.join(left[:5])}. See why it stays there, then run it again"
                )
            time.sleep(LOOK_EVERY)
            began = time.monotonic()
        return time.monotonic() - began

    def release(self) -> None:
        """Take the hold away and send on what has waited, looked up anew. Raises AccessError while some is held.

        Raises EntryGone when the account has no entry.
        """
        self.words |= {*map(_words, self.entry.release())}
        self._send_on()

    def release_without_entry(self) -> None:
        """The same for an account that has none, or none that counts as an account: that one's hold is taken away."""
        try:
            self.release()
        except EntryGone:
            self._send_on()

    def _send_on(self) -> None:
        addresses = {*self.addresses.values()}
        on_each(self.exchangers, lambda mx: self._release_at(mx, addresses))

    def _release_at(self, mx: RemoteHost, addresses: Collection[str]) -> None:
        held = self._held(self._once_tried(mx, addresses))
        if not held:
            return
        log.info("mail has waited for the move", account=self.account, messages=len(held), host=mx.name)
        queue.forget_route(mx)
        queue.requeue(mx, held)
        if not probes.wait_for(lambda: self._let_go(mx, addresses), LET_GO_SECONDS, every=1.0):
            raise AccessError(f"{mx.name} still holds mail for {self.account}, though the directory says otherwise")

    def _let_go(self, mx: RemoteHost, addresses: Collection[str]) -> bool:
        """What is still held was just being delivered to others, or has met the hold once more."""
        left = self._held(self._waiting(mx, addresses))
        queue.requeue(mx, left)
        return not left

    def prove(self, to: Server) -> None:
        """See by the own maps of each MX that it holds nothing any more, and leads mail to `to`. Raises AccessError."""
        addresses = {**self.addresses}  # known from here on: the threads of several ask no directory
        on_each(self.exchangers, lambda mx: self._see_led(mx, addresses[to], addresses[other(to)]))
        log.info(
            "mail for the account is led there", account=self.account, server=to,
            exchangers=[mx.name for mx in self.exchangers],
        )  # fmt: skip

    def _see_led(self, mx: RemoteHost, now_at: str, was_at: str) -> None:
        deadline = time.monotonic() + PROVEN_SECONDS
        while wrong := self._not_led(mx, now_at, was_at):
            if time.monotonic() > deadline:
                raise AccessError(f"{mx.name} {wrong}")
            time.sleep(LOOK_EVERY)
        self._let_go(mx, {now_at, was_at})  # what met the hold only after the release, on a busy MX

    def _not_led(self, mx: RemoteHost, now_at: str, was_at: str) -> str:
        """What is wrong at this MX; empty: nothing. It is one question, where no other map knows the addresses."""
        said = queue.looked_up(mx, ["transport_maps", "virtual_alias_maps"], [was_at, now_at])
        for address in (was_at, now_at):
            if self._is_hold(said.get(address, "")):
                return (
                    f"still holds mail for {address}: its transport_maps say {said[address]!r} though the hold was "
                    "taken out of the entry. See whether it asks the same directory (docs/moves.md); what waits comes "
                    "when it does"
                )
        if leads_on(said.get(was_at, ""), now_at):
            return ""
        found = queue.looked_up(mx, ["virtual_alias_maps"], [was_at]).get(was_at, "")  # transport_maps may know it, too
        if leads_on(found, now_at):
            return ""
        return (
            f"does not lead {was_at} on to {now_at} (its virtual_alias_maps say {found!r}): mail that was on its way, "
            "or that an alias sends there, goes to the server that was left. See `moved.cf` in docs/moves.md, and "
            f"whether it asks the same directory: `postmap -q {was_at}` with that map must say {now_at}"
        )

    def _held(self, waiting: Iterable[Waiting]) -> set[str]:
        """The queue ids of what waits for the end of the hold."""
        return {each.queue_id for each in waiting if self._meets_hold(each)}

    def _meets_hold(self, waiting: Waiting) -> bool:
        return self._is_hold(waiting.reason)

    def _is_hold(self, text: str) -> bool:
        return any(words in text for words in self.words)

    def _once_tried(self, mx: RemoteHost, addresses: Collection[str]) -> list[Waiting]:
        """What waits once nothing is about to meet the hold any more: nobody would try it again for minutes."""
        deadline = time.monotonic() + UNTRIED_SECONDS
        while True:
            waiting = self._waiting(mx, addresses)
            if not any(map(_is_untried, waiting)) or time.monotonic() > deadline:
                return waiting
            time.sleep(LOOK_EVERY)

    def _on_its_way(self, server: Server, addresses: Collection[str]) -> list[str]:
        """What an MX may still deliver, and only then whatever waits on this server: mail goes from there to here."""
        found = on_each(self.exchangers, lambda mx: [*self._at_exchanger(mx, addresses)])
        at_exchangers = [line for lines in found.values() for line in lines]
        if not (remote := self.remotes.get(server)):
            return at_exchangers
        return at_exchangers + [_sentence(remote.name, each) for each in self._waiting(remote, addresses)]

    def _at_exchanger(self, mx: RemoteHost, addresses: Collection[str]) -> Iterator[str]:
        """What was deferred for another reason than the hold is tried, so that it meets it."""
        for each in self._waiting(mx, addresses):
            if each.queue == queue.HOLD or (each.queue == "deferred" and self._meets_hold(each)):
                continue
            if each.queue == "deferred":
                queue.try_now(mx, [each.queue_id])
            yield _sentence(mx.name, each)

    def _waiting(self, remote: RemoteHost, addresses: Collection[str]) -> list[Waiting]:
        return queue.waiting_for(remote, addresses, settings.of(remote).get("recipient_delimiter", ""))


def leads_on(said: str, address: str) -> bool:
    """Whether what a map of aliases says sends mail to the address."""
    return address.lower() in re.split(r"[\s,]+", said.lower())


def _is_untried(waiting: Waiting) -> bool:
    return waiting.queue != queue.HOLD and not waiting.reason


def _words(hold_value: str) -> str:
    """As the queue shows them."""
    return re.sub(r"^retry:\S+ ", "", hold_value)


def _sentence(host: str, waiting: Waiting) -> str:
    why = f", because: {waiting.reason}" if waiting.reason else ""
    return f"{waiting.queue_id} to {waiting.address} is {waiting.queue} on {host}{why}"
