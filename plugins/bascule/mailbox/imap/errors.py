"""What can go wrong in a pass, told apart by who has to act: nobody (try again), a person, or a decision."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bascule.mailbox.imap.server import Server


class TransientError(Exception):
    """Raised when it may pass by itself: connection lost, try later, throttled. Run the pass again."""


class MailboxFailed(Exception):
    """Raised when a person is needed before any pass can work: login refused, no such mailbox, no quota."""


class LoginRefused(MailboxFailed):
    """Raised when a server does not let us in for an account. `code`: the response code (RFC 5530), if any."""

    def __init__(self, server: "Server", text: str, code: str = "") -> None:
        super().__init__(f"{server.endpoint.host} refuses the login of `{server.login.user}`: {text}")
        self.server, self.text, self.code = server, text, code


class NoMailbox(MailboxFailed):
    """Raised when a login works and there is no mailbox behind it, not even an INBOX."""

    def __init__(self, server: "Server", text: str) -> None:
        super().__init__(f"{server.endpoint.host} has no mailbox for `{server.login.user}`: {text}")
        self.server, self.text = server, text


class ClosedByServer(TransientError):
    """Raised when the server ends the connection and says nothing."""


class LoginBroken(TransientError):
    """Raised when a server ends the connection, or says `try later`, in answer to a login.

    Dovecot does so to a master login for an account that it does not know.
    """

    def __init__(self, server: "Server", text: str) -> None:
        super().__init__(f"{server.endpoint.host}: login of {server.login.user}: {text}")
        self.server, self.text = server, text


class Refused(Exception):
    """Raised when a server (`side`: old or new) answers NO: it understood the command and won't do it."""

    def __init__(self, command: str, text: str, code: str = "", side: str = "") -> None:
        super().__init__(f"the server refused {command}: {text}")
        self.text, self.code, self.side = text, code, side


class NotUnderstood(TransientError):
    """Raised when a server answers BAD. The connection is closed at once: its state is not known any more.

    `side`: old or new. `learned`: no other connection of this job will send the like.
    """

    def __init__(self, text: str, *, side: str = "", learned: bool = False) -> None:
        super().__init__(text)
        self.text, self.side, self.learned = text, side, learned


class ProtocolError(TransientError):
    """Raised when a server says what IMAP does not allow, or more than the limits for lines and literals."""


class FolderBusy(TransientError):
    """Raised when a server takes nothing into one folder, or gives nothing of it, for now; all others go on."""

    def __init__(self, refusal: Refused | NotUnderstood) -> None:
        super().__init__(str(refusal))
        self.text, self.side = refusal.text, refusal.side


class QuotaReached(Exception):
    """Raised when a server says that the account's quota is full (OVERQUOTA, RFC 9208)."""


class SourceBroke(TransientError):
    """Raised when the source's connection ends while messages are read; `uid`: the one that may be the cause."""

    def __init__(self, server: "Server", uid: int = 0) -> None:
        where = f"the message with UID {uid}" if uid else "a list of messages"
        super().__init__(f"{server.endpoint.host} broke off at {where}")
        self.uid = uid


class DestinationBroke(TransientError):
    """Raised when the destination's connection ends while it gets messages, one of which may be the cause."""


# Response codes (RFC 5530 and others) that announce what passes by itself.
BUSY_CODES = {"UNAVAILABLE", "INUSE", "THROTTLED"}
PASSING_CODES = BUSY_CODES | {"SERVERBUG", "CONTACTADMIN"}


def passes_by_itself(refusal: Refused) -> bool:
    """Whether this NO may be a yes a little later."""
    return refusal.code in PASSING_CODES


def is_busy(refusal: Refused) -> bool:
    """Whether this NO to opening a folder says nothing of the folder; damaged ones are told of as SERVERBUG."""
    return refusal.code in BUSY_CODES | {"LIMIT"}
