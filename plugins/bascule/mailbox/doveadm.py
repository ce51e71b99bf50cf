"""Commands to the Dovecot that is carried to, mostly new's, about one account's folders: what IMAP has no command for.

They go through Dovecot's own doveadm service on its host, over one SSH channel that stays open
(`remote/doveadm.py`), in the service's protocol: one line a command, with tabs between the words; then what it prints,
and a line that begins with `+` or `-`.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import Conversation, RemoteHost
from bascule.mailbox.imap.errors import TransientError
from bascule.remote.send import ProgramFailed, converse
from bascule.text import mutf7

VERSION = "VERSION\tdoveadm-server\t1\t0"
ESCAPED = {"\x01": "\x011", "\t": "\x01t", "\r": "\x01r", "\n": "\x01n"}
# Plugins of IMAP that keep what was expunged, or do something else with what is appended.
WATCHFUL = ("lazy_expunge", "imap_sieve", "push_notification", "mail_lua")
PASSING = {"", "TEMPFAIL", "NOREPLICATE", "CLIENTERROR"}  # codes of failures that may pass by themselves
# Changes by which a MODSEQ is raised beforehand: else nearly every later pass opens a channel to say it.
AHEAD = 10_000
HIGHEST_MODSEQ = 2**63 - 1  # RFC 7162 section 7


def above(modseq: int) -> int:
    """What a MODSEQ is raised to: changes from there on are news to programs that know this one (CHANGEDSINCE)."""
    return min(modseq + AHEAD, HIGHEST_MODSEQ)


class CannotCommand(Exception):
    """Raised when new is not to be commanded so, whatever is tried: no Dovecot, no doveadm service, no such account."""


class Doveadm:
    """Commands about the folders of one account. Not safe in threads.

    `imap_plugins`: what Dovecot says of those that this account has; None: it can't be told. `takes_placeholders`: what
    is appended by IMAP and expunged at once leaves nothing behind, if the account may do both in that folder.
    `limits_rights`: it may not do everything in each of its folders.
    """

    def __init__(self, conversation: Conversation, host: str, user: str, imap_plugins: str | None) -> None:
        self._conversation, self._host, self._user = conversation, host, user
        self.takes_placeholders = imap_plugins is not None and not any(name in imap_plugins for name in WATCHFUL)
        self.limits_rights = imap_plugins is None or "acl" in imap_plugins
        self._write(VERSION)
        while not (greeting := self._read()).startswith(("+", "-")):
            pass  # its own version, in Dovecot 2.4
        if greeting.startswith("-"):
            raise CannotCommand(f"{host}: Dovecot's doveadm service wants a password on its own socket")

    def update(self, folder: bytes, *, uidvalidity: int = 0, uidnext: int = 0, modseq: int = 0) -> None:
        """Give a folder this UIDVALIDITY, and UIDNEXT and HIGHESTMODSEQ no less than these; what is 0 stays as it is.

        Its name is in modified UTF-7. Raises CannotCommand, TransientError.
        """
        given = {"--uid-validity": uidvalidity, "--min-next-uid": uidnext, "--min-highest-modseq": modseq}
        options = [word for option, value in given.items() if value for word in (option, str(value))]
        self._run("mailbox update", *options, mutf7.decode(folder))

    def close(self) -> None:
        self._conversation.close()

    def _run(self, command: str, *arguments: str) -> None:
        self._write("\t".join(["", *map(_escaped, (self._user, command, *arguments))]))
        _, outcome = self._read(), self._read()
        if outcome.startswith("+"):
            return
        code = outcome[1:].strip()
        sentence = f"{self._host}: `doveadm {command}` failed{f' ({code})' if code else ''}"
        raise TransientError(f"{sentence} for {self._user}") if code in PASSING else CannotCommand(sentence)

    def _write(self, line: str) -> None:
        with _transient():
            self._conversation.write(line.encode() + b"\n")

    def _read(self) -> str:
        with _transient():
            return self._conversation.read_line().decode("utf-8", "replace").rstrip("\n")


def opener(remote: RemoteHost, user: str, *, base_dir: str = "") -> Callable[[], Doveadm]:
    """What opens another channel to the Dovecot on this host; threads may call it at once.

    `base_dir`: where Dovecot has its sockets, where its configuration is not asked. What is returned raises
    CannotCommand, TransientError.
    """
    one_at_a_time = threading.Lock()
    known: dict[str, str | None] = {}  # what the first one was told

    def open_doveadm() -> Doveadm:
        with one_at_a_time, _transient():
            request = {"base_dir": known["base_dir"], "user": ""} if known else {"base_dir": base_dir, "user": user}
            try:
                conversation, found = converse(remote, "doveadm", request)
            except ProgramFailed as error:
                raise CannotCommand(str(error)) from None
            if not known:
                known.update(found)
        return Doveadm(conversation, remote.name, user, known["imap_plugins"])

    return open_doveadm


@contextlib.contextmanager
def _transient() -> Iterator[None]:
    try:
        yield
    except AccessError as error:
        raise TransientError(str(error)) from None


def _escaped(word: str) -> str:
    return "".join(ESCAPED.get(character, character) for character in word)
