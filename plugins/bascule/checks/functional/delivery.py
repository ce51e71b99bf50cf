"""Functional tests of mail on its way: in, out, filed, answered."""

import secrets
import time
from email.message import EmailMessage
from email.utils import formatdate

from bascule.checks.functional.client import CouldNotTest, Evidence, ask, at, login, point_of
from bascule.hosts.access import Access

WAIT = 60.0  # seconds until a message must have arrived
TEST_HEADER = "X-Bascule-Test"
CALM = 6  # looks, half a second apart, after the expected message has come, for one too many
# Inside the probe's own filter, which other tests use at the same time, and for one sender only.
VACATION = """\
if address :is "from" "{sender}" {{
  vacation :days 1 :handle "{handle}" :addresses ["{address}"] :subject "{handle}" "This is a test of Bascule.";
}}
"""
OUTSIDE = "bascule-test@{domain}"


def mail_arrives(access: Access) -> Evidence:
    """A message through the MX arrives exactly once, in the folder into which the probe's filter files it."""
    test = access.site.functional_tests
    return _arrives(access, test.address, test.filter_folder)


def mail_to(kind: str, access: Access) -> Evidence:
    """A message from outside to one of the probe's other addresses (alias, role, list) arrives exactly once."""
    return _arrives(access, access.site.functional_tests.addresses[kind], None)


def submission(access: Access) -> Evidence:
    """The probe logs in at the submission service and writes to itself; the message arrives once."""
    test = access.site.functional_tests
    message_id, text = message(access, test.address, From=test.address)
    _submit(access, test.address, text)
    folders = places(access, message_id)
    clean_up(access, message_id)
    if len(folders) != 1:
        return Evidence(False, _not_once(message_id, folders))
    point = point_of(test.submission)
    return Evidence(
        True, f"logged in at {point['host']}:{point['port']}, and the message to oneself is in {folders[0]}"
    )


def mail_to_outside(access: Access) -> Evidence:
    """A message of the probe leaves the site, exactly once."""
    test = access.site.functional_tests
    if test.outside is None:
        raise CouldNotTest("the site file has no `functional_tests.outside`")
    message_id, text = message(access, test.outside.address, From=test.address)
    _submit(access, test.outside.address, text)
    found = outside_mail(access, message_id, wanted=1)
    if found != 1:
        return Evidence(
            False, f"the message {message_id} came to {test.outside.address} {found} times: look at new's queue"
        )
    return Evidence(True, f"the message {message_id} came to {test.outside.address} once")


def vacation(access: Access) -> Evidence:
    """Two messages from one sender outside are answered once. The probe's own filter is put back at the end."""
    test = access.site.functional_tests
    if test.outside is None:
        raise CouldNotTest("the site file has no `functional_tests.outside`")
    token = f"bascule-{secrets.token_hex(8)}"
    action = VACATION.format(handle=token, address=test.address, sender=test.outside.address)
    sieve = {**point_of(test.sieve), **login(access), "name": "bascule-test"}
    before = ask(access, "sieve_swap", {**sieve, "action": action})
    try:
        sent = [_from_outside(access, test.outside.address, test.address) for _ in range(2)]
        came = [len(places(access, message_id)) for message_id in sent]
        answers = outside_mail(access, token, wanted=1)
    finally:
        ask(access, "sieve_restore", {**sieve, "active": before["active"]})
    for message_id in sent:
        clean_up(access, message_id)
    if came != [1, 1]:
        return Evidence(False, f"of two messages to {test.address}, {sum(came)} came: look at the mail log of new")
    if answers != 1:
        return Evidence(False, f"two messages were answered {answers} times, not once: look at Sieve's log on new")
    return Evidence(True, f"two messages of {test.outside.address} were answered once, and the probe's filter is back")


def outside_mail(access: Access, words: str, *, wanted: int) -> int:
    """How many messages with these words came to the address outside: waits for `wanted`, then for one too many."""
    outside = access.site.functional_tests.outside
    if outside is None:
        raise CouldNotTest("the site file has no `functional_tests.outside`")
    command = ["grep", "-rlF", "--", words.strip("<>"), outside.maildir]
    deadline, found, calm = time.monotonic() + WAIT, 0, 0
    while time.monotonic() < deadline and calm < CALM:
        time.sleep(0.5)
        done = access.remote(outside.host).run(command, check=False)
        found = len(done.output.splitlines())
        calm = calm + 1 if found >= wanted else 0
    return found


def _arrives(access: Access, address: str, folder: str | None) -> Evidence:
    test = access.site.functional_tests
    message_id = _from_outside(access, OUTSIDE.format(domain=access.site.domain), address)
    folders = places(access, message_id)
    clean_up(access, message_id)
    if len(folders) != 1:
        return Evidence(False, _not_once(message_id, folders))
    if folder and folders[0] != folder:
        return Evidence(
            False, f"the message {message_id} is in {folders[0]}, not in {folder}: look at the probe's filter"
        )
    return Evidence(True, f"the message {message_id} to {address} went through {test.mx} and is once in {folders[0]}")


def _from_outside(access: Access, sender: str, to: str) -> str:
    """Hand a message to the MX, as the outside does; its Message-Id. Raises CouldNotTest when it is refused."""
    host = access.site.functional_tests.mx
    message_id, text = message(access, to, From=sender)
    sent = ask(access, "send", {"host": host, "port": 25, "from": sender, "to": [to], "message": text})
    if sent["refused"]:
        raise CouldNotTest(f"{host} refused the message to {to}: {sent['refused'].get(to)}")
    return message_id


def _submit(access: Access, to: str, text: str) -> None:
    test = access.site.functional_tests
    envelope = {"from": test.address, "to": [to], "message": text}
    sent = ask(access, "send", {**point_of(test.submission), **login(access), **envelope})
    if sent["refused"]:
        raise CouldNotTest(f"the submission service refused {to}: {sent['refused'].get(to)}")


def _not_once(message_id: str, folders: list[str]) -> str:
    where = f"is there {len(folders)} times, in {', '.join(folders)}" if folders else f"did not come in {WAIT:.0f} s"
    return f"the message {message_id} {where}: look at the queue of the MX and the mail log of new"


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
    request = {**at(access.site.service_addresses.imap), **login(access), "message_id": message_id, "wait": WAIT}
    return ask(access, "find_message", request, timeout=WAIT + 60)["folders"]


def clean_up(access: Access, message_id: str) -> None:
    """Remove the test's message from the probe's mailbox."""
    request = {**at(access.site.service_addresses.imap), **login(access), "message_id": message_id}
    ask(access, "remove_message", request)
