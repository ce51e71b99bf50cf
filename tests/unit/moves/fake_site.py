"""A site in memory: a directory's entry, two servers, an MX with a queue, a proxy; mail comes meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bascule.ledger.moves import Server, other
from bascule.moves.machine import CannotMove, EntryGone, HoldGone


class Killed(BaseException):
    """The process is gone."""


@dataclass
class FakeSite:
    """One account. `mail` of each server: message numbers. What is sent while it is held waits at the MX.

    `entry`: the directory has one of it.
    """

    at: Server = "old"
    held: bool = False
    entry: bool = True
    waiting: set[int] = field(default_factory=set)
    mail: dict[Server, set[int]] = field(default_factory=lambda: {"old": set(), "new": set()})
    sessions: dict[Server, int] = field(default_factory=lambda: {"old": 2, "new": 0})
    sent: set[int] = field(default_factory=set)
    saved: set[int] = field(default_factory=set)

    def send(self) -> None:
        """One numbered message from outside."""
        number = len(self.sent)
        self.sent.add(number)
        (self.waiting if self.held else self.mail[self.at]).add(number)

    def delete(self) -> None:
        """Its entry, by somebody at the directory: what waits goes on waiting."""
        self.entry = self.held = False

    def work(self) -> None:
        """The user saves a message where its program is logged in."""
        server: Server = "old" if self.sessions["old"] else self.at
        number = 1000 + len(self.saved)
        self.saved.add(number)
        self.mail[server].add(number)

    def log_in(self) -> None:
        self.sessions[self.at] += 1

    @property
    def everything(self) -> set[int]:
        return self.sent | self.saved


class FakeActs:
    """The acts on that site. `kill`: the act at which the process is gone, before or after it was done."""

    def __init__(self, site: FakeSite, kill: tuple[str, str] = ("", "")) -> None:
        self.site, self.kill, self.account = site, kill, "zoe"
        self.fail: dict[str, Exception] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self.done: list[str] = []
        self.keeps_out = False

    def before(self, *, also_held: bool = False) -> dict[str, Any]:
        if self.site.held and not also_held:
            raise CannotMove("no move of this ledger has put its hold there")
        return {"mailHost": [self.site.at]} | ({"mailHold": ["retry"]} if self.site.held else {})

    def is_at(self, server: Server) -> bool:
        self._look()
        return self.site.at == server

    def let_go_of_stray_hold(self) -> bool:
        held, self.site.held = self.site.held, False
        return held

    def hold(self) -> None:
        def put() -> None:
            self._look()
            self.site.held = True

        self._act("hold", put)

    def wait_until_quiet(self, to: Server) -> None:
        self._act("quiet", lambda: None)

    def flip(self, to: Server) -> float:
        def lead() -> None:
            self._look()
            if not self.site.held:
                raise HoldGone("the entry of zoe has no hold any more")
            self.site.at = to

        self._act("flip", lead)
        return 2.0**33

    def kick(self, to: Server) -> None:
        self.keeps_out = True
        self._act("kick", lambda: self.site.sessions.update({other(to): 0}))
        self.site.log_in()

    def carry(self, to: Server) -> dict[str, Any]:
        assert self.site.held, "mail could come behind the last pass"
        assert not self.site.sessions[other(to)], "somebody could write behind the last pass"
        self._act("carry", lambda: self.site.mail[to].update(self.site.mail[other(to)]))
        return {"copied": 0}

    def let_in(self) -> None:
        self.keeps_out = False

    def release(self, to: Server) -> None:
        def take_away() -> None:
            self._look()
            self._let_go()

        self._act("release", take_away)

    def release_without_entry(self) -> None:
        self._act("release", self._let_go)

    def _look(self) -> None:
        if not self.site.entry:
            raise EntryGone("the directory has no entry of the account zoe")

    def _let_go(self) -> None:
        self.site.held = False
        self.site.mail[self.site.at] |= self.site.waiting
        self.site.waiting = set()

    def prove(self, to: Server) -> None:
        assert self.site.at == to
        self._act("prove", lambda: None)

    def _act(self, name: str, do: Callable[[], object]) -> None:
        if self.kill == (name, "before"):
            raise Killed
        if name in self.fail:
            raise self.fail.pop(name)
        self.site.send()
        self.site.work()
        do()
        self.site.send()
        self.done.append(name)
        self.after.get(name, lambda: None)()
        if self.kill == (name, "after"):
            raise Killed
