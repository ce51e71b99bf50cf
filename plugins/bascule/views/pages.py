"""The templates, in the reader's language: what comes from people or servers is escaped, and what hides is shown."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bascule.ledger.journal import Entry
from bascule.problems import page, questions
from bascule.problems.kinds import kind_of, kinds
from bascule.text.harmless import harmless
from bascule.views import language, names
from bascule.views.language import Reader
from bascule.views.words import WORDS

TEMPLATES = Path(__file__).parent / "templates"
LONGEST = 2_000  # characters of one value that are shown


def render(name: str, reader: Reader, values: Mapping[str, Any]) -> str:
    """A page for this reader."""
    template = _environment(reader.language).get_template(name)
    return template.render(reader=reader, **_of(reader), **values)


def refused(sentence: str, reader: Reader) -> str:
    """The page that says why this person does not get what was asked for."""
    return render("refused.html.j2", reader, {"sentence": sentence})


def out_of_order(what: str, reason: str, reader: Reader) -> str:
    """The page that says why there is no other one."""
    return render("out_of_order.html.j2", reader, {"what": what, "reason": reason})


@cache
def _environment(chosen: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    environment.install_gettext_translations(language.translations(chosen), newstyle=True)  # type: ignore[attr-defined]
    environment.filters |= {"shown": shown, "lines": lines, "slug": slug}
    return environment


def _of(reader: Reader) -> dict[str, Any]:
    """What templates ask the reader for."""

    def word(text: str) -> str:
        """A word of the ledger (a state, a phase) in the reader's language; an unknown one as it is."""
        return reader.text(WORDS[text]) if text in WORDS else shown(text)

    def own(text: str) -> str:
        """Our own words of another room, in the reader's language; unknown ones as they are."""
        return shown(reader.text(text.replace("%", "%%"))) if text else ""

    def matter(entry: Entry) -> str:
        """What a row of the journal is about: a phase's state, a kind of problem or of change."""
        if entry.event == "phase":
            return word(str((entry.after or {}).get("state", "")))
        kind = kinds().get(entry.kind)
        return own(kind.name) if kind else word(entry.kind)

    return {
        "colon": reader.text(": "),
        "matter": matter,
        "number": reader.number,
        "size": reader.size,
        "share": reader.share,
        "clock": reader.clock,
        "on_axis": reader.on_axis,
        "moment": reader.moment,
        "duration": reader.duration,
        "word": word,
        "own": own,
        "kind_name": lambda kind: own(kind.name),
        "proposal": lambda problem: page.proposal(problem, say=own),
        "kind_of": kind_of,
        "called": questions.name,
        "whose": questions.whose,
        "line_of": lambda each: names.line(each.phase, each.name),
        "title_of": lambda line: line.names.get(reader.language) or line.names["en"],
    }


def shown(text: object) -> str:
    """Text of unknown origin for a page: what hides is made visible, and what is very long is cut."""
    whole = str(text)
    cut = whole if len(whole) <= LONGEST else f"{whole[:LONGEST]} … ({len(whole)})"
    return harmless(cut)


def lines(text: object) -> str:
    """A whole text of several lines, harmless; its line ends and tabs stay."""
    return "\n".join("\t".join(map(harmless, line.split("\t"))) for line in str(text).split("\n"))


def slug(text: object) -> str:
    """Any text as an element's id."""
    return hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest()[:12]
