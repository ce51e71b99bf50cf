"""The acts of a move on a real site."""

import time
from typing import Any

from bascule import mailbox
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.ledger.moves import Server, other
from bascule.mailbox import MailboxFailed, TransientError
from bascule.mailbox.carry_back import carry_back
from bascule.moves.entry import Entry
from bascule.moves.mail import Mail
from bascule.moves.sessions import Sessions
from bascule.text.logs import get_logger

log = get_logger(__name__)

PASSES = 3  # last passes at most, where sessions come back behind one


class SiteActs:
    """One account on the site. `owner` holds its lease."""

    def __init__(self, access: Access, ledger: Ledger, account: str, owner: str) -> None:
        self.access, self.ledger, self.account, self.owner = access, ledger, account, owner
        self.entry = Entry(access, account)
        self.mail = Mail(access, account, self.entry)
        self.sessions = Sessions(access, account)

    def before(self) -> dict[str, Any]:
        """Also opens what the acts need, so that none of them waits for a connection."""
        self.entry.check()
        for proxy in self.sessions.proxies:
            proxy.run(["true"])
        return self.entry.state()

    def is_at(self, server: Server) -> bool:
        return self.entry.is_at(server)

    def hold(self) -> None:
        self.mail.hold()

    def wait_until_quiet(self, to: Server) -> None:
        self.mail.wait_until_quiet(to)

    def flip(self, to: Server) -> float:
        until = int(time.time()) + self.entry.part.delay_seconds + 1
        self.entry.flip(to, until)
        return until

    def kick(self, to: Server) -> None:
        self.sessions.kick(to)

    def carry(self, to: Server) -> dict[str, Any]:
        """What the MX had routed before it saw the hold, or who logged in before the flip, may come behind a pass."""
        done: dict[str, Any] = {}
        for _ in range(PASSES):
            self.mail.wait_until_quiet(to)
            done = self._pass(to)
            if not self.sessions.on(other(to)):
                return done
            self.sessions.kick(to)
        raise AccessError(f"sessions of {self.account} come back to {other(to)} again and again, past the proxy")

    def release(self, to: Server) -> None:
        self.mail.release()

    def prove(self, to: Server) -> None:
        self.sessions.prove(to)

    def _pass(self, to: Server) -> dict[str, Any]:
        job = mailbox.job_for(self.access, self.account)
        try:
            if to == "new":
                result = mailbox.sync_mailbox(job, self.ledger, owner=self.owner)
                return {"copied": result.copied, "verified": result.verified, "problems": result.problems}
            back = carry_back(job, self.ledger, owner=self.owner)
        except (TransientError, MailboxFailed) as error:
            raise AccessError(str(error)) from None
        if back.refused:
            log.error("old does not take some mail, which stays on new", account=self.account, refused=back.refused)
        return {"copied": back.copied, "refused": back.refused}
