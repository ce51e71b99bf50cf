"""The one rule of merging: its cases are the tables of docs/engine.md."""

import pytest
from bascule.ledger.carried import Carried
from bascule.mailbox.attributes.acl import Rights
from bascule.mailbox.attributes.metadata import Annotations
from bascule.mailbox.attributes.three_way import Value, changed_on_old, steps
from bascule.mailbox.messages.merge import Act, Base, merge, merge_flags

from lab.paths import CHECKOUT

ENGINE = (CHECKOUT / "docs" / "engine.md").read_text(encoding="utf-8")


def table(after: str) -> list[tuple[str, ...]]:
    """The rows of the first table after this sentence."""
    lines = ENGINE[ENGINE.index(after) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return rows


# What stands in the table -> flags that the last pass left (None: it has not met the message), and flags now.
ON_OLD = {
    "new message": (None, "a"), "unchanged": ("", ""), "flags changed": ("", "a"), "removed": ("", None),
}  # fmt: skip
# The same, and whether Bascule put it there.
ON_NEW = {
    "not there": (None, None, True), "unchanged, put there by Bascule": ("", "", True),
    "unchanged, there before Bascule": ("", "", False), "flags changed": ("", "b", True),
    "removed by its user": (None, None, True),
}  # fmt: skip
ACTS = {
    "it is copied": {Act.ADD}, "nothing": {Act.NOTHING}, "it is removed": {Act.REMOVE}, "it stays": {Act.KEEP},
    "it stays removed": {Act.NOTHING, Act.KEEP},
}  # fmt: skip


@pytest.mark.parametrize(("on_old", "on_new", "does"), table("One rule decides about each message"))
def test_messages_are_merged_as_the_page_says(on_old: str, on_new: str, does: str) -> None:
    old_base, old = ON_OLD[on_old]
    new_base, new, ours = ON_NEW[on_new]
    base = None if old_base is None else Base(old_base, new_base, ours)
    assert merge(base, old, new) in ACTS[does]


FLAG = {  # whether the last pass left the flag there (None: it has not met the message), and whether it is there now
    "met for the first time, with it": (None, True), "met for the first time, without it": (None, False),
    "set": (False, True), "taken away": (True, False), "there all the time": (True, True),
    "not there all the time": (False, False),
}  # fmt: skip


@pytest.mark.parametrize(("on_old", "on_new", "does"), table("Flags and keywords are merged one by one"))
def test_flags_are_merged_as_the_page_says(on_old: str, on_new: str, does: str) -> None:
    old, new = FLAG[on_old], FLAG[on_new]
    conflict = does in ("it stays, and it is logged", "it stays away, and it is logged")
    expected = does in ("it is set", "it stays", "it stays, and it is logged")
    base = None if old[0] is None else Base(flags(old[0]), flags(bool(new[0])), ours=False)
    assert merge_flags(base, flags(old[1]), flags(new[1])) == (flags(expected), flags(conflict))


def flags(there: bool | None) -> frozenset[bytes]:
    return frozenset((b"f",) if there else ())


def test_the_table_of_flags_says_all_there_is() -> None:
    told = {(FLAG[old], FLAG[new]) for old, new, _ in table("Flags and keywords are merged one by one")}
    met, first = [f for f in FLAG.values() if f[0] is not None], [f for f in FLAG.values() if f[0] is None]
    assert told == {(old, new) for some in (met, first) for old in some for new in some}


@pytest.mark.parametrize(("on_old", "on_new", "does"), table("Each entry is merged by the same rule"))
def test_entries_are_merged_as_the_page_says(on_old: str, on_new: str, does: str) -> None:
    old_base, old = {"came": (None, "l"), "changed": ("lr", "l"), "removed": ("lr", None)}[on_old]
    new_base, new, ours, unite = {
        "nothing": (None, None, True, Rights.unite),
        "rights for the same name": (None, "r", True, Rights.unite),
        "another annotation of that name": (None, "r", True, Annotations.unite),
        "what Bascule put there": ("lr", "lr", True, Rights.unite),
        "changed since": ("lr", "lrs", True, Rights.unite),
        "removed since": ("lr", None, True, Rights.unite),
        "was there before Bascule": ("lr", "lr", False, Rights.unite),
    }[on_new]
    known = {} if old_base is None else row(old_base, new_base, ours=ours)
    (step,) = steps(v(old), v(new), known, unite)
    assert (step.act, step.new.token if step.new else None, step.stays) in {
        "it is put on new": [("put", "l", False)],
        "both sides' rights are united: nothing is taken from what somebody set on new": [("put", "lr", False)],
        "new's stays": [("note", "r", False)],
        "new's stays, and it is logged": [("note", "lrs", True), ("forget", "lrs", True)],
        "it stays removed, and it is logged": [("note", None, True)],
        "it is removed on new": [("remove", "lr", False)],
        "it stays": [("forget", "lr", False)],
    }[does]


def v(token: str | None) -> dict[str, Value]:
    return {"bob": Value(token, token.encode())} if token is not None else {}


def row(old: str | None, new: str | None, intended: str | None = None, ours: bool = True) -> dict[str, Carried]:
    return {"bob": Carried("bob", old, new, intended, ours)}


def one(old: str | None, new: str | None, known: dict[str, Carried]) -> tuple[str, str | None, bool] | None:
    found = steps(v(old), v(new), known, Rights.unite)
    if not found:
        return None
    (step,) = found
    return step.act, step.new.token if step.new else None, step.ours


@pytest.mark.parametrize(
    ("why", "old", "new", "known", "expected"),
    [
        ("first meeting, nothing on new", "lr", None, {}, ("put", "lr", True)),
        ("first meeting, the same on new", "lr", "lr", {}, ("note", "lr", False)),
        ("first meeting, another on new", "lr", "lw", {}, ("put", "lrw", False)),
        ("first meeting, more on new", "lr", "lrs", {}, ("note", "lrs", False)),
        ("unchanged on old, changed on new", "lr", "l", row("lr", "lr"), None),
        ("unchanged on old, removed on new", "lr", None, row("lr", "lr"), None),
        ("changed on old", "l", "lr", row("lr", "lr"), ("put", "l", True)),
        ("changed on both", "l", "lrs", row("lr", "lr"), ("note", "lrs", False)),
        ("changed on old, removed on new", "l", None, row("lr", "lr"), ("note", None, False)),
        ("changed on old, was united", "lrs", "lrw", row("lr", "lrw", ours=False), ("put", "lrsw", False)),
        ("removed on old", None, "lr", row("lr", "lr"), ("remove", "lr", False)),
        ("removed on old, changed on new", None, "l", row("lr", "lr"), ("forget", "l", False)),
        ("removed on old, not ours", None, "lr", row("lr", "lr", ours=False), ("forget", "lr", False)),
        ("removed on both", None, None, row("lr", "lr"), ("forget", None, False)),
        ("cut before the first put", "lr", None, row(None, None, "lr"), ("put", "lr", True)),
        ("cut after the first put", "lr", "lr", row(None, None, "lr"), ("note", "lr", True)),
        ("cut before a second put", "l", "lr", row("lr", "lr", "l"), ("put", "l", True)),
        ("cut after a second put", "l", "l", row("lr", "lr", "l"), ("note", "l", True)),
        ("cut after the first put, then changed on old", "l", "lr", row(None, None, "lr"), ("put", "l", True)),
        ("cut after a put that united", "lr", "lrw", row(None, None, "lrw", ours=False), ("note", "lrw", False)),
        ("cut after the put, then removed on old", None, "lr", row(None, None, "lr"), ("remove", "lr", False)),
    ],
)
def test_merge(why: str, old: str | None, new: str | None, known: dict[str, Carried], expected: object) -> None:
    assert one(old, new, known) == expected, why


def test_new_is_only_asked_when_old_has_changed() -> None:
    assert not changed_on_old(v("lr"), row("lr", "lr"))
    assert changed_on_old(v("l"), row("lr", "lr"))
    assert changed_on_old(v(None), row("lr", "lr"))
    assert changed_on_old(v("lr"), row(None, None, "lr"))
