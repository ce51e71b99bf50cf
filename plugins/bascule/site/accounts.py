"""The site file's sections about what each account has: mailboxes, filters, calendars and address books."""

from typing import Literal

from pydantic import Field, model_validator

from bascule.site.values import AbsolutePath, Attribute, ConnectionId, HostName, Part, Port, Security, Template


class MailServerPart(Part):
    """One IMAP and ManageSieve server, and how Bascule logs in for an account."""

    host: str
    connection: ConnectionId
    address: HostName
    port: Port = 993
    security: Security = "tls"
    sieve_port: Port | None = 4190
    sieve_security: Security = "starttls"
    login: Literal["master", "authzid", "secret"] = "master"
    master_login: str = "{account}*{master}"  # for login: master
    connections: int = Field(default=8, ge=1)  # at most so many at once, all tasks together
    messages_per_second: int = Field(default=0, ge=0)  # copied by all tasks together; 0: no limit
    bytes_per_second: int = Field(default=0, ge=0)
    storage: AbsolutePath | None = None  # where the mail lies on the host, for the check of disk space

    @model_validator(mode="after")
    def _names_the_account(self) -> "MailServerPart":
        if self.login == "master" and "{account}" not in self.master_login:
            raise ValueError("master_login must contain {account}, as in {account}*{master}")
        return self


class FoldersPart(Part):
    """What happens to folder names beyond separators and prefixes."""

    exclude: list[str] = []  # old names that are not carried
    rename: dict[str, str] = {}  # old name -> new name, for every mailbox
    replace: dict[str, str] = {}  # text in a refused name -> what to propose for it


class PopPart(Part):
    """POP3 UIDLs carried to new, for the accounts that used POP3 lately (by old's logs) or for all."""

    accounts: Literal["recent", "all"] = "recent"
    old_port: Port = 995
    new_port: Port = 995


class QuotaPart(Part):
    """The attribute of an account's directory entry from which the new server reads its quota; `value` over `bytes`."""

    attribute: Attribute
    value: Template = "{{ bytes }}"


class MailboxesPart(Part):
    old: MailServerPart
    new: MailServerPart
    folders: FoldersPart = FoldersPart()
    pop3: PopPart | None = None
    verify: Literal["counts", "attributes", "content"] = "attributes"
    connections_per_mailbox: int = Field(default=2, ge=1, le=8)
    acl: bool = False
    metadata: bool = False
    uids: Literal["keep", "keep where possible", "new"] = "keep where possible"
    identifiers: dict[str, str] = {}  # in access rights: old identifier -> new one, beyond the accounts' own names
    quota: QuotaPart | None = None
    largest_message: int = Field(default=200_000_000, ge=1)  # bytes


class FiltersPart(Part):
    """Sieve conversion. `never_matching`: what to do with a rule that never could match (header "Subject:")."""

    never_matching: Literal["ask", "repair", "keep"] = "ask"
    parallel: int = Field(default=8, ge=1, le=64)


class CalendarServerPart(Part):
    connection: ConnectionId
    url: Template  # of one account's home, over `account`
    contacts_url: Template | None = None  # where address books have a home of their own
    login: Literal["superuser", "proxy", "secret"] = "superuser"
    discover: bool = False  # `url` is the account's principal or any page; the server says where the homes are


class RightsFilePart(Part):
    """Radicale's file of rights, which says who may see and change whose collections; read over SSH."""

    host: str
    path: AbsolutePath = "/etc/radicale/rights"


class SogoToolPart(Part):
    """`sogo-tool backup` on old and `sogo-tool restore` on new, over SSH, where both are SOGo."""

    old: str
    new: str


class CalendarsPart(Part):
    """Calendars and address books. `main`: names of old collections that go into the one that new gives everybody."""

    old: CalendarServerPart
    new: CalendarServerPart
    main: list[str] = ["agenda", "calendar", "personal", "default", "contacts", "addressbook"]
    new_main: str = "personal"
    parallel: int = Field(default=4, ge=1, le=32)
    rights: RightsFilePart | None = None  # where old is Radicale
    sogo_tool: SogoToolPart | None = None  # where old is SOGo too
