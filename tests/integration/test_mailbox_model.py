"""Users change both sides between passes in any order; a simple model says what must come of it."""

import os
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ledgers import empty_ledger
from tests.mail_servers import Dovecot
from tests.mailbox_states import Account, spelled

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
FOLDERS = st.sampled_from(["INBOX", "Sent", "Réunions/2018 été"])
NAMES = st.sampled_from(["a", "b", "c", "a'", "x", "xx"])
FLAG_SETS = st.sampled_from(["", "S", "F", "FS", "A+work", "S+work"])

_servers: dict[str, Dovecot] = {}


@pytest.fixture(scope="module", autouse=True)
def the_models_servers(servers: tuple[Dovecot, Dovecot]) -> None:
    """The machine takes no fixtures."""
    _servers.update(old=servers[0], new=servers[1])


class Message:
    """One message of the model, with its flags on both sides as the last pass left them and as they are now."""

    def __init__(self, name: str, flags: str, on_new: bool) -> None:
        self.name = name
        self.old: str | None = None if on_new else flags
        self.new: str | None = flags if on_new else None
        self.old_base: str | None = None
        self.new_base: str | None = None
        self.ours = not on_new
        self.known = on_new  # whether a pass has carried it, or it never came from old


class BothSides(RuleBasedStateMachine):
    """Each message has another body, so that every one can be told apart."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, list[Message]] = {}
        self.passes = 0
        self.resources = ExitStack()

    @initialize()
    def begin(self) -> None:
        self.user = f"m{uuid.uuid4().hex[:12]}"
        folder = self.resources.enter_context(tempfile.TemporaryDirectory())
        self.ledger = Ledger(empty_ledger(Path(folder) / "ledger.db"))
        old, new = _servers["old"], _servers["new"]
        self.job = MailboxJob(self.user, old.server(self.user), new.server(self.user), Options())
        self.old = self.resources.enter_context(Account(old.port, self.user, "."))
        self.new = self.resources.enter_context(Account(new.port, self.user, "/"))
        self.counter = 0

    def teardown(self) -> None:
        if hasattr(self, "user"):
            self.resources.close()

    def fresh(self, letter: str) -> str:
        self.counter += 1
        return f"{letter[0]}{self.counter}"

    @rule(folder=FOLDERS, letter=NAMES, flags=FLAG_SETS)
    def deliver_on_old(self, folder: str, letter: str, flags: str) -> None:
        name = self.fresh(letter)
        if folder not in self.old.folders():
            self.old.client.create(self.old.wire_name(folder))
        self.old.append(folder, name, flags)
        self.model.setdefault(folder, []).append(Message(name, flags, on_new=False))

    @rule(folder=FOLDERS, letter=NAMES, flags=FLAG_SETS)
    def deliver_on_new(self, folder: str, letter: str, flags: str) -> None:
        name = self.fresh(letter)
        if folder not in self.new.folders():
            self.new.client.create(self.new.wire_name(folder))
        self.new.append(folder, name, flags)
        self.model.setdefault(folder, []).append(Message(name, flags, on_new=True))

    def some(self, data: st.DataObject, side: str) -> tuple[str, Message] | None:
        found = [(f, m) for f, ms in self.model.items() for m in ms if getattr(m, side) is not None]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data(), flags=FLAG_SETS, side=st.sampled_from(["old", "new"]))
    def change_flags(self, data: st.DataObject, flags: str, side: str) -> None:
        chosen = self.some(data, side)
        if chosen:
            folder, message = chosen
            self.act(side, folder, message.name, lambda client, uid: client.uid("STORE", uid, "FLAGS", spelled(flags)))
            setattr(message, side, flags)

    @rule(data=st.data(), side=st.sampled_from(["old", "new"]))
    def remove(self, data: st.DataObject, side: str) -> None:
        chosen = self.some(data, side)
        if chosen:
            folder, message = chosen
            self.act(side, folder, message.name, lambda client, uid: client.uid("STORE", uid, "+FLAGS", "(\\Deleted)"))
            getattr(self, side).client.expunge()
            setattr(message, side, None)

    def act(self, side: str, folder: str, name: str, how: object) -> None:
        account: Account = getattr(self, side)
        uid = next(uid for uid, there, _ in account._messages(folder) if there == name)
        assert callable(how)
        assert how(account.client, uid)[0] == "OK"

    @precondition(lambda self: self.model)
    @rule()
    def sync(self) -> None:
        self.old.client.noop()
        sync_mailbox(self.job, self.ledger)
        for messages in self.model.values():
            for message in messages:
                expect(message)
        self.passes += 1
        self.compare()
        again = sync_mailbox(self.job, self.ledger)
        assert (again.copied, again.flags_changed, again.removed, again.problems) == (0, 0, 0, 0)
        self.compare()

    @invariant()
    def old_is_never_changed(self) -> None:
        if hasattr(self, "user") and self.passes:
            there = {f: sorted((n, g) for _, n, g in self.old._messages(f)) for f in self.old.folders()}
            wanted = {f: sorted((m.name, m.old) for m in ms if m.old is not None) for f, ms in self.model.items()}
            assert {f: m for f, m in there.items() if m} == {f: m for f, m in wanted.items() if m}

    def compare(self) -> None:
        there = {f: sorted((n, g) for _, n, g in self.new._messages(f)) for f in self.new.folders()}
        wanted = {f: sorted((m.name, m.new) for m in ms if m.new is not None) for f, ms in self.model.items()}
        assert {f: m for f, m in there.items() if m} == {f: m for f, m in wanted.items() if m}


def expect(message: Message) -> None:
    """What one pass makes of one message."""
    if not message.known:
        if message.old is None:  # came and went between two passes
            return
        message.new = message.old
        message.known = True
    elif message.ours and message.old_base is not None:
        unchanged_on_new = message.new == message.new_base
        if message.old is None and message.new is not None and unchanged_on_new:
            message.new = None
        elif message.old is not None and message.new is not None and message.new_base is not None:
            message.new = merged(message.old_base, message.new_base, message.old, message.new)
        if message.old is None:
            message.ours = False  # the map forgets it
    message.old_base, message.new_base = message.old, message.new


def merged(old_base: str, new_base: str, old: str, new: str) -> str:
    """Each flag as old has it now if only old has changed it, else as new has it."""

    def told(flags: str) -> set[str]:
        system, *keywords = flags.split("+")
        return {*system, *keywords}

    there = {
        flag
        for flag in told(old_base) | told(new_base) | told(old) | told(new)
        if flag in told(old if flag in told(old_base) ^ told(old) and flag not in told(new_base) ^ told(new) else new)
    }
    return "+".join(["".join(sorted(f for f in there if len(f) == 1)), *sorted(f for f in there if len(f) > 1)])


BothSides.TestCase.settings = settings(
    max_examples=100 if FULL else 12,
    stateful_step_count=30 if FULL else 20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestBothSides = BothSides.TestCase
