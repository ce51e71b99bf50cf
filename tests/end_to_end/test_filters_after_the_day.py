"""Mail that comes after the day is filed by the converted filters, also into a folder that was renamed by decision."""

import smtplib
import time
import uuid
from collections.abc import Callable
from email.message import EmailMessage

from bascule.ledger import mailboxes

from lab.facts import HOSTS
from lab.people import people
from lab.seed_filters import RENAMED_FOLDER, RENAMED_SUBJECT
from lab.store import Stores
from lab.testing import ACCOUNTS, SEED
from tests.end_to_end.conftest import Day

ARRIVES_WITHIN = 60  # seconds


def send(address: str, subject: str) -> str:
    """Send a message from outside through the MX; return its Message-Id."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "comptable@outside.test", address, subject
    message["Message-ID"] = identifier = f"<{uuid.uuid4()}@outside.test>"
    message.set_content("Voir la pièce jointe.\n")
    with smtplib.SMTP(HOSTS["mx"].fqdn, 25, timeout=30) as session:
        session.send_message(message)
    return identifier


def wait_for(found: Callable[[], list[str]]) -> list[str]:
    deadline = time.monotonic() + ARRIVES_WITHIN
    while not (places := found()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return places


def test_a_filter_files_into_the_folder_that_was_renamed_by_decision(day: Day) -> None:
    assert day.seen["drain"].state == "success"
    person = next(person for person in people(ACCOUNTS, SEED) if person.trouble == "folders")
    identifier = send(person.address, f"{RENAMED_SUBJECT} exercice suivant")
    client = Stores(day.instance).reader("new", person.account)
    renamed = mailboxes.folder_map(day.ledger, person.account)[RENAMED_FOLDER]

    def places() -> list[str]:
        names = [name for flags, _, name in client.list_folders() if b"\\Noselect" not in flags]
        found = []
        for name in names:
            client.select_folder(name, readonly=True)
            found += [name] * len(client.search(["HEADER", "Message-ID", identifier]))
        return found

    assert wait_for(places) == [renamed]
    assert "/" not in renamed
