"""Servers in memory: what the passes need of ManageSieve, with a compiler that knows as much as the tests need."""

from dataclasses import dataclass, field

from bascule.sieve.language import all_roles, table
from bascule.sieve.managesieve import Refused, Verdict
from bascule.sieve.managesieve_answers import Answer, ManageSieveError
from bascule.sieve.parser import parse
from bascule.sieve.plan import read
from bascule.sieve.syntax import SieveSyntaxError


@dataclass
class Server:
    """One account's scripts on one server. `log`: what was changed. `breaks_at`: the connection dies at this change."""

    stored: dict[str, bytes] = field(default_factory=dict)
    active: str | None = None
    extensions: frozenset[str] = frozenset(table("rules")["known_extensions"])
    log: list[str] = field(default_factory=list)
    refuses: str = ""  # a response code with which PUTSCRIPT is refused
    breaks_at: int = 0
    redirects: int | None = None
    notify_methods: frozenset[str] | None = None
    modified_utf7: bool | None = False
    procmail: str | None = None
    refused: dict[str, str] = field(default_factory=dict)  # a script that is not given, and why
    refuses_active: str = ""  # a response code with which SETACTIVE is refused
    breaks_over: bytes = b""  # the connection breaks when a script with these octets is given or compiled
    warns: bytes = b""  # a script with these octets in it is warned of

    def scripts(self) -> dict[str, bool]:
        return {name: name == self.active for name in self.stored}

    def get(self, name: str) -> bytes:
        if name in self.refused:
            raise Refused("GETSCRIPT", Answer("NO", "", words=self.refused[name]))
        self._survive(self.stored[name])
        return self.stored[name]

    def reopen(self) -> None:
        self.log.append("reopened")

    def _survive(self, script: bytes) -> None:
        if self.breaks_over and self.breaks_over in script:
            raise ManageSieveError("the connection broke")

    def check(self, script: bytes) -> Verdict:
        self._survive(script)
        try:
            parsed = parse(read(script))
        except SieveSyntaxError as error:
            return Verdict(False, f"line {error.line}: error: {error.message}.")
        words = [
            f"line 1: warning: specified header field name '{name.value}' is invalid."
            for role in all_roles(parsed, "header")
            for name in role.strings()
            if ":" in name.value
        ]
        if self.warns and self.warns in script:
            words.append("line 1: warning: this is odd.")
        if b"imapflags" in script or b"error-here" in script:
            return Verdict(False, "line 1: error: unknown Sieve capability.")
        return Verdict(True, "\n".join(words) or "Script checked successfully.")

    def put(self, name: str, script: bytes) -> Verdict:
        if self.refuses:
            raise Refused("PUTSCRIPT", Answer("NO", self.refuses, words="no"))
        verdict = self.check(script)
        if verdict.accepted:
            self._change(f"put {name}")
            self.stored[name] = script
        return verdict

    def set_active(self, name: str) -> None:
        if self.refuses_active:
            raise Refused("SETACTIVE", Answer("NO", self.refuses_active, words="no"))
        self._change(f"activate {name or '-'}")
        self.active = name or None

    def _change(self, what: str) -> None:
        if self.breaks_at and len(self.log) + 1 >= self.breaks_at:
            raise ManageSieveError("the connection broke")
        self.log.append(what)
