"""The registry of the kinds of problems: `include/problems.yaml`, which explains its keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bascule.problems.model import Action, Do, Option, Problem, Proposal
from bascule.text import data_file

FILE = Path(__file__).resolve().parents[3] / "include" / "problems.yaml"

Form = Literal["folder name", "line", "text", "choice"]


@dataclass(frozen=True)
class Editable:
    """One value of a proposal that a person may edit; `choices` are all that it may be, where only some are."""

    form: Form
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One kind of problem, with all that people may decide about it."""

    key: str  # room/kind
    name: str
    explanation: str = ""
    proposes: tuple[Action, ...] = ()
    edit: Mapping[str, Editable] = field(default_factory=dict)
    leave_out: Literal["always", "as it is", "proposed", "never"] = "always"
    standing: tuple[str, ...] = ()
    owner: Mapping[str, str] = field(default_factory=dict)  # why, in the owner's words, by language

    def editable(self, proposal: Proposal) -> dict[str, Editable]:
        """What a person may edit of this proposal: a value that it lacks can't be written into it."""
        return {key: how for key, how in self.edit.items() if getattr(proposal, key) is not None}

    def takes(self, option: Option, proposal: Proposal) -> bool:
        """Whether the option may be chosen about a problem with this proposal."""
        if option is not Option.LEAVE_OUT or self.leave_out in ("always", "as it is"):
            return True
        return self.leave_out == "proposed" and proposal.action is Action.LEAVE_OUT


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by its key. Raises ValueError when an action is none that Bascule knows."""
    raw = data_file.read(FILE)
    return {key: _kind(key, item) for key, item in raw.items()}


@cache
def of_messages() -> tuple[str, ...]:
    """The kinds that are about one message, without their room."""
    return tuple(key.partition("/")[2] for key in kinds() if key.startswith("mailbox/message-"))


def kind_of(problem: Problem) -> Kind:
    """The problem's kind, or one with nothing but the name that the room gives it."""
    return kinds().get(problem.key) or Kind(problem.key, problem.kind[:1].upper() + problem.kind[1:])


def _kind(key: str, item: Mapping[str, Any]) -> Kind:
    return Kind(
        key,
        item["name"],
        " ".join(item["explanation"].split()),
        tuple(Action(action) for action in item["proposes"]),
        {value: _editable(value, how) for value, how in item.get("edit", {}).items()},
        item.get("leave_out", "always"),
        tuple(item["standing"]),
        item.get("owner", {}),
    )


def _editable(value: str, how: Any) -> Editable:
    if isinstance(how, list):
        known = {"action": Action, "do": Do}[value]
        return Editable("choice", tuple(known(choice).value for choice in how))
    return Editable(how)
