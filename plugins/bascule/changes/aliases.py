"""The alias map on the MX: rendered from the directory and the site file, written whole, looked up to verify it.

The first line of the file carries a hash of the rest, so that an edit made by hand since Bascule wrote it is seen, and
never overwritten.
"""

import re
from collections.abc import Sequence
from typing import Any

from bascule.changes import files
from bascule.changes.base import Change, ChangeFailed, State
from bascule.changes.files import FileState
from bascule.hosts import directory
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.text.logs import get_logger

log = get_logger(__name__)

HEADER = "# Written by Bascule, from the directory and its site file; edits belong there. sha256 "
SUFFIXES = {"hash": "db", "btree": "db", "lmdb": "lmdb", "cdb": "cdb"}  # of the file that postmap makes
# What may stand in the map: anything else could end a line, begin a comment or name a command.
ADDRESS = re.compile(r"^[^\s,#\"\\<>()\[\]|:;\x00-\x1f\x7f]+\Z")
BACKUP = ".before-bascule"


class AliasMap(Change):
    """The alias map as the template makes it. State: {"file": the map as text; "indexed": is it what Postfix reads}.

    `sent_back`: accounts whose destination was changed and then changed back, with mail for the new one in the queue.
    """

    kind = "aliases"

    def __init__(self, access: Access, sent_back: Sequence[str] = ()) -> None:
        super().__init__(access)
        self.sent_back = sorted(sent_back)
        self.part = access.site.aliases
        self.remote = access.remote(self.part.host)
        self._wanted: str | None = None

    @property
    def subject(self) -> str:
        return f"{self.part.host}: {self.part.path}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"sent_back": self.sent_back} if self.sent_back else {}

    @property
    def desired(self) -> State:
        return {"file": {"text": self._text(), "mode": "644", "owner": "root:root"}, "indexed": True}

    def observe(self) -> State:
        self._wanted = None
        file = files.snapshot(self.remote, self.part.path)
        entries = entries_of(files.text_of(file) or "")
        return {"file": file, "indexed": not self._missing(entries) if file else False}

    def is_desired(self, state: State) -> bool:
        return files.text_of(state["file"]) == self._text() and state["indexed"]

    def apply(self) -> None:
        self._refuse_edited()
        present = files.snapshot(self.remote, self.part.path)
        if present and not _is_ours(files.text_of(present)):
            files.restore(self.remote, self.part.path + BACKUP, present)
            log.info("the file that was there is kept", host=self.part.host, path=self.part.path + BACKUP)
        mode, owner = (present["mode"], present["owner"]) if present else ("644", "root:root")
        self._install({"text": self._text(), "mode": mode, "owner": owner})

    def verify(self) -> None:
        text = files.text_of(files.snapshot(self.remote, self.part.path))
        if text != self._text():
            raise ChangeFailed(f"{self.subject}: holds something else than what Bascule wrote: who else writes it?")
        entries = entries_of(text)
        unknown = [key for key in self.part.sample if key not in entries]
        missing = self._missing(entries)
        if unknown or missing:
            raise ChangeFailed(f"{self.subject}: `postmap -q` does not find {', '.join([*unknown, *missing][:20])}")
        table = f"{self.part.type}:{self.part.path}"
        if not any(table in self.remote.run(["postconf", option]).output for option in ("-nx", "-Px")):
            raise ChangeFailed(
                f"{self.subject}: Postfix on {self.part.host} does not use the table {table}: "
                "add it to `virtual_alias_maps` in its main.cf"
            )
        log.info("every alias is found", host=self.part.host, aliases=len(entries))

    def revert(self, before: State) -> None:
        if self.observe()["file"] != before["file"]:
            self._refuse_edited()
            self._put_back(before["file"])
        for left in (self._draft, self._index_of(self._draft), self.part.path + BACKUP):
            self.remote.remove_file(left)
        if files.snapshot(self.remote, self.part.path) != before["file"]:
            raise ChangeFailed(f"{self.subject}: is not as it was before: who else writes it?")

    def _put_back(self, file: FileState | None) -> None:
        if file is not None:
            self._install(file)
            return
        files.restore(self.remote, self.part.path, None)
        self.remote.remove_file(self._index_of(self.part.path))
        self._reload()

    def summary(self, state: State) -> State:
        return {**state, "file": files.short(state["file"])}

    @property
    def _draft(self) -> str:
        """Where the map is made and tried before it takes its place."""
        return f"{self.part.path}.bascule-draft"

    def _index_of(self, path: str) -> str:
        return f"{path}.{SUFFIXES[self.part.type]}"

    def _text(self) -> str:
        if self._wanted is None:
            self._wanted = self._render()
        return self._wanted

    def _render(self) -> str:
        site = self.access.site
        accounts = directory.accounts(self.access)
        destinations = {account.name: self._destination(account) for account in accounts}
        moved = self._all_moved(accounts)
        self._refuse_unfit(destinations | {key: [key, *values] for key, values in (self.part.extra | moved).items()})
        body = files.render(
            self.part.template,
            accounts=accounts,
            destinations=destinations,
            moved=moved,
            extra=self.part.extra,
            domain=site.domain,
            site=site,
        )
        return f"{HEADER}{files.digest(body)}\n{body}"

    def ways(self) -> dict[str, list[str]]:
        """Where the map sends mail on that was accepted for a destination of before: that address -> those of now."""
        return self._all_moved(directory.accounts(self.access))

    def _all_moved(self, accounts: Sequence[directory.Account]) -> dict[str, list[str]]:
        return dict(filter(None, (self._moved(account, self._destination(account)) for account in accounts)))

    def _destination(self, account: directory.Account) -> list[str]:
        """Where the account's mail goes now; names of attributes know no case (RFC 4512 section 2.5)."""
        wanted = self.access.site.directory.destination.attribute.lower()
        return [value for name, values in account.entry.items() if name.lower() == wanted for value in values]

    def _moved(self, account: directory.Account, present: list[str]) -> tuple[str, list[str]] | None:
        """The destination that the account had, and what it has now, when that has been changed."""
        destination = self.access.site.directory.destination
        before, after = (directory.render(text, account) for text in (destination.before, destination.after))
        if account.name in self.sent_back:
            before, after = after, before
        elif after not in present:
            return None
        return (before, [after]) if before not in present and before != after else None

    def _refuse_unfit(self, values: dict[str, list[str]]) -> None:
        wrong = [(key, value) for key, several in values.items() for value in several if not ADDRESS.match(value)]
        if wrong:
            key, value = wrong[0]
            raise ChangeFailed(f"{self.subject}: {value!r} (of {key}) can't stand in an alias map: mend it first")

    def _refuse_edited(self) -> None:
        """Raise ChangeFailed when the file is one that Bascule wrote and somebody edited afterwards."""
        text = files.text_of(files.snapshot(self.remote, self.part.path))
        if _is_ours(text) and not _is_untouched(text):
            raise ChangeFailed(
                f"{self.subject}: was edited by hand after Bascule wrote it, and is left as it is. Put the edit into "
                f"`aliases.extra` of the site file or into the template {self.part.template}, move the file on "
                f"{self.part.host} away, and run this task again"
            )

    def _install(self, file: FileState) -> None:
        """Make the index beside the old one and look everything up in it; only then both take their places."""
        draft, draft_index, ours = self._draft, self._index_of(self._draft), _is_ours(files.text_of(file))
        files.restore(self.remote, draft, file)
        made = self.remote.run(["postmap", f"{self.part.type}:{draft}"])
        missing = self._missing(entries_of(files.text_of(file) or ""), draft) if ours else []
        if missing or (ours and "warning:" in made.error):
            self.remote.run(["rm", "-f", "--", draft, draft_index])
            raise ChangeFailed(
                f"{self.subject}: the template {self.part.template} makes a map that Postfix doesn't read as meant "
                f"({made.error.strip()[-500:] or 'missing: ' + ', '.join(missing[:20])}); the old map is still in place"
            )
        self.remote.run(["mv", "-f", "--", draft_index, self._index_of(self.part.path)])
        self.remote.run(["mv", "-f", "--", draft, self.part.path])
        self._reload()

    def _reload(self) -> None:
        """Let Postfix read the map now; a Postfix that is stopped will read it when it starts."""
        if self.remote.run(["postfix", "status"], check=False).status == 0:
            self.remote.run(["postfix", "reload"])

    def _missing(self, entries: dict[str, str], path: str = "") -> list[str]:
        """The addresses for which `postmap -q` finds something else than the map says."""
        if not entries:
            return []
        table = f"{self.part.type}:{path or self.part.path}"
        asked = "".join(f"{key}\n" for key in entries).encode()
        found = self.remote.run(["postmap", "-q", "-", table], input=asked, check=False)
        if found.status != 0 and "fatal:" in found.error and "No such file" not in found.error:
            raise AccessError(f"{self.subject}: {found.error.strip()[-500:]}")
        answers = dict(line.partition("\t")[::2] for line in found.output.splitlines())
        return [key for key, value in entries.items() if answers.get(key) != value]


def entries_of(text: str) -> dict[str, str]:
    """The entries of a Postfix table: address (folded to small letters, as postmap does) -> value (postmap(1))."""
    logical: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and logical:
            logical[-1] += line
        else:
            logical.append(line)
    pairs = [line.split(None, 1) for line in logical]
    return {pair[0].lower(): pair[1].strip() for pair in pairs if len(pair) == 2}


def _is_ours(text: str | None) -> bool:
    return text is not None and text.startswith(HEADER)


def _is_untouched(text: str | None) -> bool:
    header, _, body = (text or "").partition("\n")
    return header == HEADER + files.digest(body)
