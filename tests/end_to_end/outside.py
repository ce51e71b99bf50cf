"""Mail from outside to people of the site, and where it has arrived; among them somebody who is away."""

import smtplib
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from email.message import EmailMessage

from lab.corpus.people import people
from lab.corpus.store import Side, Stores
from lab.facts import HOSTS
from lab.hosts import driver
from lab.paths import Instance
from lab.testing import DAY_ACCOUNTS, SEED

ABSENT = "cdaubigne"  # whose filter answers for her
ASKS_BEFORE = "curieuse@outside.test"
WITHIN = 300  # seconds for what takes one or two: only mail that never comes may end a test


def send(account: str, subject: str, sender: str, headers: Mapping[str, str] | None = None) -> str:
    """Send a message from outside through the MX to the account's address; return its Message-Id."""
    address = next(person.address for person in people(DAY_ACCOUNTS, SEED) if person.account == account)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, address, subject
    message["Message-ID"] = identifier = f"<{uuid.uuid4()}@outside.test>"
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content("Voir la pièce jointe.\n")
    with smtplib.SMTP(HOSTS["mx"].fqdn, 25, timeout=WITHIN) as session:
        session.send_message(message)
    return identifier


def arrived(instance: Instance, side: Side, account: str, identifier: str) -> list[tuple[str, tuple[bytes, ...]]]:
    """The folders of one side in which a message is, with its flags there; waits until it is somewhere."""
    deadline = time.monotonic() + WITHIN
    while not (places := list(look(instance, side, account, identifier))) and time.monotonic() < deadline:
        time.sleep(0.5)
    return places


def look(instance: Instance, side: Side, account: str, identifier: str) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """The folders in which it is now, with its flags there."""
    client = Stores(instance).reader(side, account)
    try:
        names = [name for flags, _, name in client.list_folders() if b"\\Noselect" not in flags]
        for name in names:
            client.select_folder(name, readonly=True)
            for uid in client.search(["HEADER", "Message-ID", identifier]):
                yield name, client.get_flags([uid])[uid]
    finally:
        client.logout()


def ask_before_the_day(instance: Instance) -> None:
    """Ask the absent, and wait for old's answer (that there was one is for the tests to see)."""
    send(ABSENT, "êtes-vous là ?", ASKS_BEFORE)
    deadline = time.monotonic() + WITHIN
    while not answers(instance, "old", ASKS_BEFORE) and time.monotonic() < deadline:
        time.sleep(0.5)


def answers(instance: Instance, host: str, to: str) -> int:
    """How many vacation answers this host has sent to somebody since it was made, by its log."""
    command = driver.ssh_command(instance, host, ["journalctl", "--no-pager", "-o", "cat", "-u", "dovecot"])
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sum("sent vacation response" in line and f"<{to}>" in line for line in told.splitlines())
