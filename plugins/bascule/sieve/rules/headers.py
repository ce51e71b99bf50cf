"""Header names with a colon or a space too many, and colons that belong to nothing."""

import re

from bascule.sieve.language import all_roles
from bascule.sieve.model import Edit, Report, shown
from bascule.sieve.syntax import quote

VALID_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 section 3.6.8: printable ASCII without space and colon


def stray_colons(report: Report) -> None:
    """`header: :contains ...`, `:contains :"Subject" ...`: no script by the grammar until the colon is gone."""
    for colon in report.script.stray_colons:
        is_colon = report.script.text[colon.start] == ":"
        what = 'a ":" that belongs to no tag' if is_colon else 'a blank between ":" and the tag\'s name'
        edit = Edit(colon.start, colon.end, "", "stray-colon", "a ':' too many" if is_colon else "a blank too many")
        message = f"{what} makes the whole filter invalid; without it the filter would work"
        report.ask(colon.start, "stray-colon", message, edit)


def header_names(report: Report) -> None:
    """`header :contains "Subject:" ...`: the server only warns, and the test can never be true."""
    for role in all_roles(report.script, "header"):
        for name in role.strings():
            if "${" in name.value or VALID_NAME.fullmatch(name.value):
                continue
            mended = name.value.strip(" \t\r\n:")
            if not VALID_NAME.fullmatch(mended):
                report.ask(
                    name.start,
                    "header-name-invalid",
                    f"{shown(name.value)} can be no header's name: this never matches",
                )
                continue
            reason = f"{shown(name.value)} can be no header's name (a colon or a space too many): this never matches"
            repair = Edit(name.start, name.end, quote(mended), "header-name", f"{reason}; {shown(mended)} does")
            report.ask(name.start, "header-name", f"{reason}; with {shown(mended)} it would", repair)
