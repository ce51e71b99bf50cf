"""Functional tests of mail: logins through the service names, and messages on their way."""

import secrets
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from bascule.access import Access
from bascule.checks.client import Evidence, ask, login
from bascule.site import ServiceAddressPart

WAIT = 60.0  # seconds until a message must have arrived
TEST_HEADER = "X-Bascule-Test"
OUTSIDE = "bascule-test@{domain}"


def imap_login(access: Access) -> Evidence:
    """IMAP through the service name, its certificate checked."""
    part = access.site.service_addresses.imap
    seen = ask(access, "imap_login", _at(part) | login(access))
    if not seen["selected"]:
        return Evidence(False, f"logged in at {part.name}, but INBOX can't be opened: look at the log of IMAP on new")
    return Evidence(
        True, f"logged in at {part.name}:{part.port} with a valid certificate; INBOX has {seen['messages']}"
    )


def pop3_login(access: Access) -> Evidence:
    """POP3 through the service name, its certificate checked."""
    part = access.site.service_addresses.pop
    seen = ask(access, "pop3_login", _at(part) | login(access))
    return Evidence(True, f"logged in at {part.name}:{part.port} with a valid certificate; {seen['messages']} messages")


def mail_arrives(access: Access) -> Evidence:
    """A message through the MX arrives exactly once, in the folder into which the probe's filter files it."""
    test = access.site.functional_tests
    message_id, text = message(access, test.address)
    envelope = {"from": OUTSIDE.format(domain=access.site.domain), "to": [test.address], "message": text}
    sent = ask(access, "send", {"host": test.mx, "port": 25, **envelope})
    if sent["refused"]:
        return Evidence(False, f"{test.mx} refused the message: {sent['refused']}")
    folders = places(access, message_id)
    clean_up(access, message_id)
    if len(folders) != 1:
        where = (
            f"is there {len(folders)} times, in {', '.join(folders)}" if folders else f"did not come in {WAIT:.0f} s"
        )
        return Evidence(False, f"the message {message_id} {where}: look at the queue of the MX and the mail log of new")
    if test.filter_folder and folders[0] != test.filter_folder:
        return Evidence(
            False,
            f"the message {message_id} is in {folders[0]}, not in {test.filter_folder}: look at the probe's filter",
        )
    return Evidence(True, f"the message {message_id} went through {test.mx} and is once in {folders[0]}")


def message(access: Access, to: str, **headers: str) -> tuple[str, str]:
    """(Message-Id, text) of a test message that says what it is."""
    site = access.site
    built = EmailMessage()
    message_id = f"<bascule-{secrets.token_hex(12)}@{site.domain}>"
    built["Message-ID"], built["Date"], built["To"] = message_id, formatdate(), to
    built["From"] = headers.pop("From", OUTSIDE.format(domain=site.domain))
    built["Subject"] = headers.pop("Subject", "Bascule: functional test")
    built[TEST_HEADER] = "1"
    for name, value in headers.items():
        built[name.replace("_", "-")] = value
    built.set_content("This message tests the mail service after its move. It removes itself.\n")
    return message_id, built.as_string()


def places(access: Access, message_id: str) -> list[str]:
    """The folders of the probe's mailbox in which the message is, once it has come or the time is over."""
    request = {**_at(access.site.service_addresses.imap), **login(access), "message_id": message_id, "wait": WAIT}
    return ask(access, "find_message", request, timeout=WAIT + 60)["folders"]


def clean_up(access: Access, message_id: str) -> None:
    """Remove the test's message from the probe's mailbox."""
    request = {**_at(access.site.service_addresses.imap), **login(access), "message_id": message_id}
    ask(access, "remove_message", request)


def _at(part: ServiceAddressPart) -> dict[str, Any]:
    return {"host": part.name, "port": part.port}
