"""A UID means what it meant when messages were listed, though another session selects the folder, or one does later."""

from collections.abc import Iterable

from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.errors import TransientError
from bascule.mailbox.imap.fetch import list_messages
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.workers import Side


def select_as_listed(side: Side, messages: Iterable[Listed]) -> None:
    """Select the folder, to read these messages.

    Under another UIDVALIDITY than theirs (the folder was made anew, or the server tells another one every second) all
    of these must be listed as they were. Raises TransientError, Refused.
    """
    selected = side.session.ensure_selected(side.name)
    if side.uidvalidity in (0, selected.status.uidvalidity):
        return
    before = {message.uid: message for message in messages}
    for now in list_messages(side.session, side.name, before):
        then = before[now.uid]
        dates = {now.date, then.date} - {internaldate.UNKNOWN}
        if now.size != then.size or len(dates) > 1:
            raise TransientError("the folder was made anew after its messages were listed")
