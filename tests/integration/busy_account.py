"""Somebody who works through the service name while numbered mail comes, by programs that know no moves."""

import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from lab.measure.at_work import Verdict, judge, look
from lab.measure.programs import Outage, Program, Sender

BETWEEN_ACTS, BETWEEN_MAILS = 0.05, 0.25


class Busy:
    """One account's user at work during the `with`, by one mail program or by several; `mail`: what came for it."""

    def __init__(
        self, account: str, address: str, password: str, trusted: ssl.SSLContext, pauses: Sequence[float] = ()
    ) -> None:
        self.account, self.password, self.trusted = account, password, trusted
        self.programs = [Program(account, password, trusted, pause) for pause in pauses or (BETWEEN_ACTS,)]
        for number, program in enumerate(self.programs):
            program.reads = number == 0  # one alone reads, so that none is told of another's acts
        self.mail = Sender([(account, address)], BETWEEN_MAILS)
        self._stack = ExitStack()

    @property
    def outages(self) -> list[Outage]:
        return [outage for program in self.programs for outage in program.outages]

    def works(self) -> None:
        """Wait until all of it has gone on for a while from here on. Raises AssertionError."""
        saved, sent = [sum(program.done.values()) for program in self.programs], len(self.mail.accepted)
        wait_for(
            lambda: (
                len(self.mail.accepted) > sent + 5
                and all(
                    sum(each.done.values()) > before + 20 for each, before in zip(self.programs, saved, strict=True)
                )
            ),
            "the programs work",
        )

    def verdict(self) -> Verdict:
        """What became of all that the programs were told, when everything has arrived."""
        record = self.programs[0].record()
        for program in self.programs[1:]:
            more = program.record()
            for name in ("told", "uncertain"):
                record[name] |= more[name]
            record["clashes"] += more["clashes"]
            record["still_out"] = record["still_out"] or more["still_out"]
        accepted = {name: at for name, (_, at) in self.mail.accepted.items()}
        found = look(self.account, self.password, self.trusted, accepted, record)
        return judge(record, accepted, [*self.mail.uncertain], found)

    def __enter__(self) -> Self:
        for worker in (self.mail, *self.programs):
            self._stack.enter_context(worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def wait_for(look: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {what}"
        time.sleep(0.3)
