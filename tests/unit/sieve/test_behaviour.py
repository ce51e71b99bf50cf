"""What `sieve-test` says, read; and what counts as a difference."""

from bascule.access import Finished
from bascule.sieve.behaviour import Action, Proof, actions
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.plan import Plan
from bascule.sieve.sample import Message

TOLD = """
Performed actions:

 * store message in folder: INBOX.A
        + create mailbox if it does not exist
        + preserve implicit keep
        + add IMAP flags: \\flagged
 * redirect message to: <x@example.org>
 * send vacation message:
    => seconds : 259200
    => handle  : away

START MESSAGE
 * discard
END MESSAGE

Implicit keep:

 * store message in folder: INBOX
"""
STORED = Action("store message in folder (IMAP flags: \\flagged) (preserve implicit keep):", "INBOX.A")


def test_actions_are_read() -> None:
    assert actions(TOLD.replace("+ add IMAP", "+ IMAP")) == {
        STORED,
        Action("redirect message to: <x@example.org>"),
        Action("send vacation message: (seconds : 259200)"),
        Action("store message in folder:", "INBOX"),
    }


def test_nothing_said_is_no_action() -> None:
    assert actions("main: line 1: error: parse failed.") is None


def test_a_discard_is_seen() -> None:
    assert actions("Performed actions:\n\n * discard\n\nImplicit keep:\n\n  (none)\n") == {Action("discard")}


class Host:
    """A host whose `sieve-test` files by what stands in the script."""

    name = "new"

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def run(self, command: list[str], **_: object) -> Finished:
        self.commands.append(command)
        if command[0] == "mktemp":
            return Finished(0, "/tmp/x\n", "", 0.0)
        if command[0] != "find":
            return Finished(0, "plugin/sieve_extensions=+vnd.x\nplugin/sieve_plugins=sieve_extprograms\n", "", 0.0)
        told = {"old": "INBOX.A", "new": self.new, "repaired": "C"}
        markers = [command[at + 1].split()[:2] for at, word in enumerate(command) if word == "-printf"]
        return Finished(0, "".join(f"{m} {v} 0.eml\n{_told(told[v])}" for m, v in markers), "", 0.0)

    new = "A"


def _told(folder: str) -> str:
    return f"\nPerformed actions:\n\n * store message in folder: {folder}\n\nImplicit keep:\n\n  (none)\n"


def compared(host: Host, plan: Plan, monkeypatch: object) -> Plan:
    import bascule.sieve.behaviour as behaviour

    message = Message(b"Subject: x\r\n\r\n", "<1@x> | x")
    monkeypatch.setattr(behaviour, "recent_messages", lambda *_: [message])  # type: ignore[attr-defined]
    folders = FolderMap({}, ".", "/", "INBOX.", "")
    Proof(host, None).compare("marie", plan, {}, folders)  # type: ignore[arg-type]
    return plan


def test_a_mapped_folder_is_no_difference(monkeypatch: object) -> None:
    plan = compared(Host(), Plan("a", b"old", keeping=b"new", repaired=b"new"), monkeypatch)
    assert (plan.behaviour, plan.repaired_behaviour) == ([], [])
    assert plan.proved


def test_another_folder_is_a_difference_with_the_message_named(monkeypatch: object) -> None:
    host = Host()
    host.new = "B"
    plan = compared(host, Plan("a", b"old", keeping=b"new", repaired=b"new"), monkeypatch)
    (difference,) = plan.behaviour
    assert difference == {
        "message": "<1@x> | x",
        "before": ["store message in folder: INBOX.A"],
        "after": ["store message in folder: B"],
    }


def test_what_the_repair_would_do_is_told_apart(monkeypatch: object) -> None:
    plan = compared(Host(), Plan("a", b"old", keeping=b"new", repaired=b"repaired"), monkeypatch)
    assert plan.behaviour == []
    assert plan.repaired_behaviour[0]["after"] == ["store message in folder: C"]


def test_the_directory_is_removed_and_no_program_is_allowed(monkeypatch: object) -> None:
    host = Host()
    compared(host, Plan("a", b"old", keeping=b"new"), monkeypatch)
    assert host.commands[-1] == ["rm", "-rf", "--", "/tmp/x"]
    assert Proof(host, None)._settings_of_new() == "  sieve_extensions = +vnd.x\n"  # type: ignore[arg-type]


def test_an_unchanged_filter_is_not_run(monkeypatch: object) -> None:
    host = Host()
    compared(host, Plan("a", b"old", keeping=b"old", repaired=b"old"), monkeypatch)
    assert host.commands == []
