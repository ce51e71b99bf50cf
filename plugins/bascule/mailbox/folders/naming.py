"""What a folder of old is called on new: as decided, as before, by the folder above it, its special use, or the rule.

The name that a folder once got stays its name, whatever new has got since.

The rule itself (prefix, separator, the site file's names) is `text/name_map.py`: filters are mapped by it, too.
"""

from dataclasses import replace

from bascule.mailbox.folders.collisions import TakenNames
from bascule.mailbox.folders.known import KnownFolders
from bascule.mailbox.folders.problems import new_name_decided, report_name
from bascule.mailbox.imap.folders import Folder, FolderList
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.problems import PassProblems
from bascule.problems import rules
from bascule.problems.model import AS_IT_IS, Decision, Problem
from bascule.text import folder_names, mutf7
from bascule.text.logs import get_logger
from bascule.text.name_map import NameMap, NameProblem

log = get_logger(__name__)


class FolderNames:
    """Gives each folder of one mailbox its name; those that can have none are among the problems."""

    def __init__(
        self, job: MailboxJob, old: FolderList, new: FolderList, known: KnownFolders, problems: PassProblems
    ) -> None:
        self.job, self.old, self.new, self.known, self.problems = job, old, new, known, problems
        self.map = NameMap(old.namespace, new.namespace, dict(job.options.rename), dict(job.options.replace))
        self._taken = TakenNames(new)
        self._decided: dict[bytes, Decision] = {}  # new name -> the decision that gave it
        self._renamed: dict[bytes, bytes] = {}  # old -> new name that is not by the rule; what lies below goes along
        self._waiting: set[bytes] = set()  # old names about which a person has to decide first

    def in_order(self) -> list[Folder]:
        """Who takes a name first: the same in every pass, whatever folders come later. Those above come first."""
        ordered: dict[bytes, Folder] = {}
        for folder in sorted(self.old.folders.values(), key=self._precedence):
            for encoded in [*reversed(self.above(folder.encoded)), folder.encoded]:
                if encoded in self.old.folders:
                    ordered.setdefault(encoded, self.old.folders[encoded])
        return list(ordered.values())

    def _precedence(self, folder: Folder) -> tuple[bool, bool, bool, bool, bytes]:
        plain = self.map.to_new(folder.encoded)
        return (
            folder.encoded != b"INBOX",
            new_name_decided(self.problems, mutf7.display(folder.encoded)) is None,
            self.known.row(folder) is None,
            isinstance(plain, NameProblem) or plain not in self.new.folders,
            folder.encoded,
        )

    def give(self, folder: Folder) -> bytes | None:
        """The folder's name on new, encoded; None when it can't be carried, or waits."""
        name = mutf7.display(folder.encoded)
        if self.waits(folder):
            log.info("folder waits for what is decided about the one above it", folder=name)
            return None
        decided = new_name_decided(self.problems, name)
        return self._decided_name(folder, *decided) if decided else self._usual_name(folder)

    def hold(self, folder: Folder) -> None:
        """A person has to decide about the folder; what lies below it waits for that."""
        self._waiting.add(folder.encoded)

    def waits(self, folder: Folder) -> bool:
        return any(above in self._waiting for above in self.above(folder.encoded))

    def decision(self, target: bytes) -> Decision | None:
        """The decision that gave this name."""
        return self._decided.get(target)

    # -- by decision

    def _decided_name(self, folder: Folder, problem: Problem, decision: Decision) -> bytes | None:
        """The name that a person gave, looked at once more: new may have got other folders since."""
        name = str(rules.new_name_of(problem, decision))
        target, as_it_is = mutf7.encode(name), name == problem.details.get(AS_IT_IS)
        separator = self.new.namespace.separator.decode("ascii", "replace")
        exact = as_it_is or target in self.new.folders
        wrong = "" if exact else folder_names.wrong(name, separator)
        clash = self._taken.clash(target, exact=exact)
        if wrong or clash is not None:
            self.ask(folder, self._again(folder, problem, name, wrong, clash))
            return None
        self._taken.take(folder.encoded, target)
        self._decided[target] = decision
        self._renamed[folder.encoded] = target
        return target

    def _again(self, folder: Folder, before: Problem, name: str, wrong: str, clash: NameProblem | None) -> NameProblem:
        """The problem once more, of the same kind: what was decided does not help."""
        reason = clash.explanation if clash else wrong
        proposal = clash.proposal if clash else self._taken.propose(mutf7.encode(self.map.propose(folder.encoded)))
        like = str(before.facts.get("like", ""))
        return NameProblem(
            f"the name {name!r} that was decided can't be used: {reason}", proposal, before.kind, like=like
        )

    # -- by itself

    def _usual_name(self, folder: Folder) -> bytes | None:
        plain = self.map.to_new(folder.encoded)
        target = self._as_before(folder) or self._below_renamed(folder) or self._by_special_use(folder) or plain
        problem = self._unique(target) if isinstance(target, NameProblem) else self._taken.clash(target)
        if problem is not None and not self.job.options.take_proposals:
            self.ask(folder, problem)
            return None
        name = mutf7.encode(problem.proposal) if problem is not None else target
        assert isinstance(name, bytes)
        self._taken.take(folder.encoded, name)
        if name != plain or mutf7.display(folder.encoded) in self.job.options.rename:
            self._renamed[folder.encoded] = name
        return name

    def _as_before(self, folder: Folder) -> bytes | None:
        """The name that an earlier pass gave; one that new no longer has yields to a decision about a folder above."""
        row = self.known.row(folder)
        if row is None:
            return None
        target = mutf7.encode(row.new_name)
        return target if target in self.new.folders or self._renamed_above(folder) is None else None

    def _renamed_above(self, folder: Folder) -> tuple[bytes, bytes] | None:
        """The nearest folder above that has another name on new than by the rule, and that name."""
        for above in self.above(folder.encoded):
            target = self._renamed.get(above)
            if target is None and (name := self.job.options.rename.get(mutf7.display(above))):
                target = self.map.encode_new(name)  # though it holds no messages, or is not listed at all
            if target is not None:
                return above, target
        return None

    def _below_renamed(self, folder: Folder) -> bytes | NameProblem | None:
        """A folder goes along with the one above it."""
        renamed = self._renamed_above(folder)
        if renamed is None or mutf7.display(folder.encoded) in self.job.options.rename:
            return None
        return self.map.below(renamed[1], renamed[0], folder.encoded)

    def _by_special_use(self, folder: Folder) -> bytes | None:
        """The new server's folder of the same special use, when old has none of that folder's name (RFC 6154)."""
        if not folder.special_use:
            return None
        same = [f.encoded for f in self.new.folders.values() if f.special_use == folder.special_use and f.selectable]
        plain = self.map.to_new(folder.encoded)
        if len(same) != 1 or isinstance(plain, NameProblem) or plain in self.new.folders:
            return None
        others = {t for t in map(self.map.to_new, self.old.folders) if isinstance(t, bytes)}
        return None if same[0] in others else same[0]

    def above(self, encoded: bytes) -> list[bytes]:
        """The names of the folders above, the nearest first."""
        separator = self.old.namespace.separator
        levels = encoded.split(separator) if separator else [encoded]
        return [separator.join(levels[:count]) for count in range(len(levels) - 1, 0, -1)]

    # -- problems

    def ask(self, folder: Folder, problem: NameProblem, text: str = "") -> None:
        """Put the folder's name among the problems, with the server's text; what lies below it waits."""
        self.hold(folder)
        separator = self.old.namespace.separator
        below = [f for f in self.old.folders.values() if separator and f.encoded.startswith(folder.encoded + separator)]
        report_name(
            self.problems, mutf7.display(folder.encoded), problem, text,
            separator=self.new.namespace.separator.decode("ascii", "replace"), below=len(below),
            messages=sum(each.status.messages for each in (folder, *below) if each.status),
        )  # fmt: skip

    def ask_another(self, folder: Folder, refused: bytes, explanation: str, text: str) -> None:
        """The new server does not take the name that the folder was to have, by decision or by itself."""
        decided = new_name_decided(self.problems, mutf7.display(folder.encoded))
        before = decided[0] if decided else None
        proposal = self.map.propose(folder.encoded)
        problem = NameProblem(
            explanation,
            proposal if mutf7.encode(proposal) != refused else f"{proposal} (2)",
            before.kind if before else "folder-name",
            like=str(before.facts.get("like", "")) if before else "",
        )
        self.ask(folder, self._unique(problem), text)

    def _unique(self, problem: NameProblem) -> NameProblem:
        return replace(problem, proposal=self._taken.propose(mutf7.encode(problem.proposal)))
