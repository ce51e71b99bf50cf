"""What a problem, a proposal and a decision are. Every value is what the ledger and the journal have always held."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

Room = Literal["mailbox", "sieve", "calendar", "account"]
State = Literal["open", "decided", "settled", "withdrawn"]
AS_IT_IS = "as it is"  # in details: the new name that carries a folder with the old one unchanged


class Option(enum.StrEnum):
    """What a person may choose for a problem."""

    APPLY = "Apply the proposals"
    LEAVE_OUT = "Leave these out"
    LOOK_AGAIN = "I repaired it by hand, look again"
    KEEP_ON_OLD = "Keep this mailbox on the old server"


class Action(enum.StrEnum):
    """What is done when a proposal is applied."""

    LEAVE_OUT = "leave out"
    LEAVE_OUT_ITEM = "leave_out"  # of an item of a calendar or an address book
    LOOK_AGAIN = "look again"
    REPAIR = "repair"
    ACCEPT = "accept"
    RENAME = "rename"
    COPY_AGAIN = "copy again"
    COPY_MISSING = "copy what is missing"
    DROP = "drop"
    RAISE_QUOTA = "raise the quota"
    KEEP_ON_NEW = "keep on new"
    RENAME_ON_NEW = "rename on new"
    LEAVE_AS_IT_IS = "leave as it is"  # a filter
    KEEP_BOTH = "keep both"  # filters of one name
    CHOOSE = "choose"  # which filter is active
    KEEP_NEW = "keep_new"  # items of a calendar, as are all below
    TAKE_OLD = "take_old"
    REMOVE = "remove"
    CARRY_AGAIN = "carry_again"
    NEW_UID = "new_uid"
    JOURNAL_TO_TASK = "journal_to_task"


class Do(enum.StrEnum):
    """What becomes of two filters that exclude one another."""

    PUT_BESIDE = "put beside"
    OVERWRITE = "overwrite"
    KEEP_NEW = "keep new"
    LEAVE_IT_SO = "leave it so"
    AS_ON_OLD = "as on the old server"


@dataclass(frozen=True)
class Proposal:
    """What Bascule would do about a problem, or what a person decided to be done: the action, and what it needs."""

    action: Action
    do: Do | None = None
    name: str | None = None  # the new name of a folder or a filter
    text: str | None = None  # of a filter
    keyword: str | None = None  # that is dropped
    properties: tuple[str, ...] = ()  # of an item, that are dropped
    bytes: int | None = None  # to which the quota is raised
    to: str | None = None  # what the folder is renamed to on new

    def stored(self) -> dict[str, Any]:
        """As ledger and journal have it: the values that there are."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {key: _plain(value) for key, value in values.items() if value is not None and value != ()}

    @classmethod
    def from_stored(cls, values: Mapping[str, Any]) -> "Proposal":
        """Raises ValueError on an action or a value that is none."""
        known = {each.name: values[each.name] for each in fields(cls) if values.get(each.name) is not None}
        known["action"] = Action(known.get("action", Action.LOOK_AGAIN))
        if "do" in known:
            known["do"] = Do(known["do"])
        if "properties" in known:
            known["properties"] = tuple(known["properties"])
        return cls(**known)


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


LOOK_AGAIN = Proposal(Action.LOOK_AGAIN)  # nothing that Bascule could carry out: a person mends it by hand
LEAVE_OUT = Proposal(Action.LEAVE_OUT)


@dataclass(frozen=True)
class Problem:
    """Something that can't be carried over unchanged.

    `facts` are what a decision stands on (when they change, it is asked again); `details` may change freely, and so may
    `title`, `place` and `cause`.
    """

    account: str
    room: Room
    kind: str
    subject: str
    explanation: str
    facts: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    server_words: str = ""
    proposal: Proposal = LOOK_AGAIN
    title: str = ""  # what its owner calls it, where the subject is an address: an event's title
    place: str = ""  # where its owner finds it: the calendar's name, the file and its line
    cause: str = ""  # problems of a kind that have one cause and one proposal are one question; "": one for itself
    state: State = "open"
    id: int = 0

    @property
    def key(self) -> str:
        """Its kind, as problems.yaml and the site file call it."""
        return f"{self.room}/{self.kind}"


@dataclass(frozen=True)
class Decision:
    """What a person chose for one problem: the option, what is to be done (the proposal as edited), who, when, how."""

    problem_id: int
    option: Option
    chosen: Proposal
    decided_by: str
    decided_at: datetime
    source: str  # "page", "csv", "standing", "answers"
