"""What a pass works on: the two servers with their logins and limits, and the options of the site file."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from bascule.hosts import tls
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.login import Endpoint, login_for
from bascule.ledger.mailboxes import Source
from bascule.mailbox.doveadm import Doveadm, opener
from bascule.mailbox.imap.errors import TransientError
from bascule.mailbox.imap.server import Server

if TYPE_CHECKING:
    from bascule.site import MailServerPart

Known = Callable[[Collection[str]], set[str]]  # of these names, those that the directory knows
VerifyLevel = Literal["none", "counts", "attributes", "content"]
Uids = Literal["keep", "keep where possible", "new"]


@dataclass(frozen=True)
class Options:
    """How mailboxes are carried. `connections`: to each server; `largest_message` in bytes."""

    verify: VerifyLevel = "attributes"
    connections: int = 2
    largest_message: int = 200_000_000
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    replace: dict[str, str] = field(default_factory=dict)
    acl: bool = False
    metadata: bool = False
    uids: Uids = "keep where possible"
    postmaster: str = "postmaster@localhost"  # who writes repaired messages
    identifiers: dict[str, str] = field(default_factory=dict)  # in access rights: old's -> new's
    domain: str = ""  # an identifier that ends with @ and this is an account
    known_accounts: Known | None = None  # None: nobody can say whom an identifier means
    take_proposals: bool = False  # of folders' names: nobody is asked


@dataclass(frozen=True)
class MailboxJob:
    """One mailbox to carry from old to new. `doveadm` opens a channel for commands to new, where there can be one.

    `source`: which server stands here as old. On the way back it is new, and the two have changed places.
    """

    account: str
    old: Server
    new: Server
    options: Options = Options()
    doveadm: Callable[[], Doveadm] | None = None
    source: Source = "old"

    def __post_init__(self) -> None:
        for side in ("old", "new"):  # whoever makes a job: what a server refuses is told of the right one
            object.__setattr__(self, side, replace(getattr(self, side), side=side))


def job_for(access: Access, account: str) -> MailboxJob:
    """The job of one account, from the site file and its connections. Raises AccessError; NoPassword for it alone."""
    part = access.site.mailboxes
    return MailboxJob(
        account=account,
        old=_server(access, part.old, account),
        new=_server(access, part.new, account),
        doveadm=opener(access.remote(part.new.host), account),
        options=Options(
            verify=part.verify,
            connections=part.connections_per_mailbox,
            largest_message=part.largest_message,
            exclude=tuple(part.folders.exclude),
            rename=dict(part.folders.rename),
            replace=dict(part.folders.replace),
            acl=part.acl,
            metadata=part.metadata,
            uids=part.uids,
            postmaster=access.site.postmaster,
            identifiers=dict(part.identifiers),
            domain=access.site.domain,
            known_accounts=lambda names: _known(access, names),
        ),
    )


def job_back(access: Access, account: str) -> MailboxJob:
    """The job of an account that goes back to old: nobody is asked; rights and annotations stay. Raises AccessError."""
    job = job_for(access, account)
    uids: Uids = "new" if job.options.uids == "new" else "keep where possible"  # else it could be a question
    options = replace(job.options, exclude=(), rename={}, acl=False, metadata=False, take_proposals=True, uids=uids)
    return MailboxJob(account, job.new, job.old, options, doveadm_of_old(access, account), source="new")


def doveadm_of_old(access: Access, account: str) -> Callable[[], Doveadm]:
    """What opens a channel for commands to old, for what is carried there. Raises AccessError."""
    return opener(access.remote(access.site.mailboxes.old.host), account)


def _known(access: Access, names: Collection[str]) -> set[str]:
    from bascule.hosts import directory  # @@  # needs LDAP, which few passes do

    try:
        return directory.known(access, names)
    except AccessError as error:
        raise TransientError(str(error)) from None


def _server(access: Access, part: MailServerPart, account: str) -> Server:
    connection = access.connections.get(part.connection)
    endpoint = Endpoint(part.address, part.port, part.security, ca_file=tls.ca_file(connection))
    return Server(
        endpoint,
        login_for(part, connection, account),
        bytes_per_second=part.bytes_per_second,
        messages_per_second=part.messages_per_second,
        compress=bool(connection.extra.get("compress", False)),
        connection=part.connection,
        shared_login=part.login != "secret",
    )
