"""The date of a message by its own header, for servers whose INTERNALDATE can't be read.

Such a message is carried with that date, and a person is told of how many: none becomes mail of today unsaid.
"""

from collections.abc import Iterable

from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.fetch import begin_date_fields
from bascule.mailbox.imap.listing import Selection
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Side
from bascule.problems.model import Action, Proposal

ASKED_AT_ONCE = 500  # messages in one command


DATES = "date-unreadable"  # the kind of this problem, and its subject: a mailbox has one


def give_own_dates(folder: FolderState, source: Side, messages: Selection, problems: PassProblems) -> None:
    """Messages whose date can't be read get that of their own header."""
    uids = messages.without_date()
    if not uids:
        return
    dates = own_dates(source, uids)
    messages.listing.set_dates(dates)
    problems.dateless[folder.name] += len(uids)
    problems.without_any_date += len(uids) - len(dates)


def report_dates(problems: PassProblems) -> None:
    """One question for the mailbox; it stays until it is decided, since later passes don't meet these messages."""
    decided, before = problems.decided(DATES, DATES), problems.unchanged(DATES, DATES)
    if decided is not None:
        problems.carried_out(decided[1])
        return
    number = problems.dateless.total() + (before.details.get("messages", 0) if before else 0)
    none = problems.without_any_date + (before.details.get("without any date", 0) if before else 0)
    if not number:
        return
    today = f" {none} of them have no date in their header either: the new server shows today's." if none else ""
    problems.add(
        DATES, DATES,
        f"The old server tells no date that can be read of {number} message(s). They are on the new server with the "
        f"date of their own header (when they were received, else written).{today}",
        facts={"dates": "of their own header"}, details={"messages": number, "without any date": none},
        proposal=Proposal(Action.ACCEPT), cause=DATES,
    )  # fmt: skip


def own_dates(side: Side, uids: Iterable[int]) -> dict[int, int]:
    """The instants by UID, of those that have any: of the newest Received (RFC 5321 4.4), else of Date."""
    wanted = list(uids)
    found: dict[int, bytes] = {}
    if wanted:
        side.session.ensure_selected(side.name)
    for first in range(0, len(wanted), ASKED_AT_ONCE):
        side.session.finish(begin_date_fields(side.session, wanted[first : first + ASKED_AT_ONCE], found))
    dates = {uid: own_date(fields) for uid, fields in found.items()}
    return {uid: date for uid, date in dates.items() if date != internaldate.UNKNOWN}


def own_date(fields: bytes) -> int:
    """The instant that these header fields tell, or UNKNOWN."""
    import email.parser  # few servers give no date
    import email.policy

    header = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(fields, headersonly=True)
    received = [_text(value).rpartition(";")[2] for value in header.get_all("received", ())]
    written = [*received, *map(_text, header.get_all("date", ()))]
    dates = (internaldate.guess(text.strip().encode("ascii", "replace")) for text in written)
    return next((date for date in dates if date != internaldate.UNKNOWN), internaldate.UNKNOWN)


def _text(value: object) -> str:
    return str(value)
