"""What can go wrong in a pass, told apart by who has to act: nobody (try again), a person, or a decision."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bascule.mailbox.server import Server


class TransientError(Exception):
    """Raised when the trouble passes by itself: connection lost, try later, throttled. Run the pass again."""


class MailboxFailed(Exception):
    """Raised when a person is needed before any pass can work: login refused, no such mailbox, no quota."""


class LoginRefused(MailboxFailed):
    """Raised when a server does not let us in for an account. `code`: the response code (RFC 5530), if any."""

    def __init__(self, server: "Server", words: str, code: str = "") -> None:
        super().__init__(f"{server.endpoint.host} refuses the login of `{server.login.user}`: {words}")
        self.server, self.words, self.code = server, words, code


class NoMailbox(MailboxFailed):
    """Raised when a login works and there is no mailbox behind it, not even an INBOX."""

    def __init__(self, server: "Server", words: str) -> None:
        super().__init__(f"{server.endpoint.host} has no mailbox for `{server.login.user}`: {words}")
        self.server, self.words = server, words


class ClosedByServer(TransientError):
    """Raised when the server ends the connection and says nothing."""


class LoginBroken(TransientError):
    """Raised when a server ends the connection, or says `try later`, in answer to a login.

    Dovecot does so to a master login for an account that it does not know.
    """

    def __init__(self, server: "Server", words: str) -> None:
        super().__init__(f"{server.endpoint.host}: login of {server.login.user}: {words}")
        self.server, self.words = server, words


class Refused(Exception):
    """Raised when a server answers NO: it understood the command and won't do it."""

    def __init__(self, command: str, words: str, code: str = "") -> None:
        super().__init__(f"the server refused {command}: {words}")
        self.words = words
        self.code = code


class NotUnderstood(TransientError):
    """Raised when a server answers BAD. The connection is closed at once: its state is not known any more."""


class ProtocolError(TransientError):
    """Raised when a server says what IMAP does not allow, or more than the limits for lines and literals."""


class SourceBroke(TransientError):
    """Raised when the old server's connection ends while a message is read: this message may be the cause."""

    def __init__(self, uid: int) -> None:
        super().__init__(f"the old server broke off at the message with UID {uid}")
        self.uid = uid


# Response codes (RFC 5530 and others) that announce trouble which passes by itself.
BUSY_CODES = {"UNAVAILABLE", "INUSE", "THROTTLED"}
PASSING_CODES = BUSY_CODES | {"SERVERBUG", "CONTACTADMIN"}


def passes_by_itself(refusal: Refused) -> bool:
    """Whether this NO may be a yes a little later."""
    return refusal.code in PASSING_CODES


def is_busy(refusal: Refused) -> bool:
    """Whether this NO to opening a folder says nothing of the folder; damaged ones are told of as SERVERBUG."""
    return refusal.code in BUSY_CODES | {"LIMIT"}
