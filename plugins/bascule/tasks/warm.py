"""What a pass over a mailbox asks of the ledger, asked once in the process that forks the tasks (see `ledger.warm`)."""

from bascule.ledger import Ledger, leases, mailboxes, moves, passes, phases, task_log
from bascule.ledger.base import now
from bascule.ledger.journal import Origin
from bascule.ledger.mailboxes import VerificationRow
from bascule.ledger.warm import taken_back
from bascule.mailbox.folders.known import KnownFolders
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.imap.folders import Folder, FolderList
from bascule.mailbox.imap.session import FolderStatus
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.state.turn import turn
from bascule.problems import store
from bascule.text.name_map import Namespace

NOBODY = "nobody: asked before the fork"
INBOX = b"INBOX"
LONG = 3600  # seconds: the lease is never renewed, which would be done by a thread
SEEN: Flags = frozenset((b"\\Seen",))


def ask() -> None:
    """Ask it, and take back what was written. Raises LedgerError."""
    with taken_back() as ledger:
        for number in (1, 2):  # a first copy, and a later pass
            one_pass(ledger, number)


def one_pass(ledger: Ledger, number: int = 1) -> None:
    """What a pass asks; each `number` is another change of the mailbox."""
    origin = Origin("transfer")
    task_log.note(ledger, task_log.Try(origin, 1, NOBODY, of_many=True), "running")
    phases.marked_at(ledger, "cutover", "go")
    with leases.lease(ledger, NOBODY, NOBODY, LONG):
        moves.moved(ledger)
        store.kept_on_old(ledger, NOBODY)
        _of_the_engine(ledger, number)
        with ledger.session() as session:
            store.reopen_unsettled(session, NOBODY, ("mailbox",), since=now())
            store.withdraw_unseen(session, NOBODY, "account", seen=(), states=("open", "decided", "settled"))
        store.problems(ledger, account=NOBODY)
        store.decided_since(ledger, NOBODY, ("mailbox", "account"), now())


def _of_the_engine(ledger: Ledger, number: int) -> None:
    turn(ledger, NOBODY, "old")
    problems = PassProblems(ledger, NOBODY)
    problems.load()
    with ledger.session() as session:
        mailboxes.set_mailbox(session, NOBODY, "copying", note="")
        passes.note(session, NOBODY, 1.0, copied=0, octets=0, state="copying", ended=False)
    _of_a_folder(ledger, number)
    problems.write(complete=True)
    with ledger.session() as session:
        mailboxes.finish_mailbox(
            session, NOBODY, "verified", folders=1, messages=number, octets=number, problems=0, seconds=number,
            verified=True,
        )  # fmt: skip
        passes.note(session, NOBODY, 1.5, copied=1, octets=1, state="verified", ended=True)


def _of_a_folder(ledger: Ledger, number: int) -> None:
    status = FolderStatus(number, number + 1, 1, number)  # under the same UIDVALIDITY
    inbox = Folder(INBOX, status=status)
    known = KnownFolders(ledger, NOBODY, FolderList(Namespace(), {INBOX: inbox}))
    with ledger.reading() as session:
        mailboxes.folders_with_set_aside(session, NOBODY)
    state = FolderState(ledger, NOBODY, inbox, INBOX, known.row(inbox))
    state.load()
    state.verified_before("attributes")
    state.begin_copy(number + 1)
    state.row.bytes += number
    state.arrived([(number, number)], [(number, SEEN, SEEN)])
    state.save_runs()
    verified = {"messages": number, "bytes": number, "removed_on_new": 0, "excepted": 0}
    found = VerificationRow(level="attributes", differences=[], at=now(), **verified)
    state.finish(status, status, found)
