"""The site file's sections about the day: who answers and is told, who is written to, what is tested afterwards."""

from typing import Annotated, Literal

from pydantic import Field

from bascule.site.infrastructure import PointPart
from bascule.site.values import AbsolutePath, ConnectionId, HostName, MailAddress, Part


class OutsidePart(Part):
    """An address outside of the domain whose mail ends in a Maildir on a host of the site file."""

    address: str
    host: str
    maildir: AbsolutePath


class FunctionalTestsPart(Part):
    """Who and where from the functional tests are run. What is not given is not tested."""

    run_from: str
    account: str
    connection: ConnectionId  # the login and password of that account
    address: str  # its mail address, as the outside writes to it
    mx: HostName
    filter_folder: str | None = None  # folder into which its filter files a message with the header X-Bascule-Test
    webmail_login: str = "SOGo"  # words of the webmail's login page
    calendar_url: str | None = None
    submission: PointPart | None = None
    sieve: PointPart | None = None
    addresses: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")], str] = {}  # kind -> address of the probe
    outside: OutsidePart | None = None
    quota: bool = False  # whether the probe's mailbox has one, and must refuse what exceeds it
    mail_program: bool = False  # whether mbsync is on that host, and keeps a cache of the account's mail
    browser: AbsolutePath | None = None  # Chromium on the machine where the tasks run


class GatesPart(Part):
    """Who may answer. Airflow user names; an empty list means everyone who may edit the run."""

    reviewers: list[str] = []
    cutover: list[str] = []


class NotifyPart(Part):
    """Who is told when a question waits, a phase begins, ends or fails, a hold is overdue."""

    mail: list[MailAddress] = []
    smtp: ConnectionId = "smtp_default"  # of Airflow's SMTP provider
    chats: list[ConnectionId] = []  # connections whose password is a URL of Apprise
    about: list[Literal["questions", "phases", "failures", "holds"]] = ["questions", "phases", "failures", "holds"]


class LettersPart(Part):
    """The letters to owners: when something was decided in their mailbox, and before it moves on its own."""

    owners: bool = True
    days_before_move: int = Field(default=0, ge=0, le=60)  # 0: nobody is told before
