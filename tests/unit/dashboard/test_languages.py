"""Every word of the pages, the report and the notices is there in French."""

import ast
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from bascule import changes
from bascule.mailbox.folders import uids
from bascule.moves import machine
from bascule.problems import record
from bascule.tasks import forecast, look
from bascule.views import language, names, timeline
from bascule.views.words import WORDS

from lab.paths import CHECKOUT

PACKAGE = CHECKOUT / "plugins" / "bascule"
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "text": None, "texts": (1, 2)}
METHODS = [("**.j2", "jinja2"), ("**.py", "python")]


def messages() -> set[str]:
    found = set()
    for room in ("views", "dashboard", "tasks"):
        for _, _, message, _, _ in extract_from_dir(PACKAGE / room, METHODS, keywords=KEYWORDS):
            found.add(message[0] if isinstance(message, tuple) else message)
    return found


def test_no_word_lacks_its_french() -> None:
    with (language.LOCALES / "fr.po").open("rb") as file:
        french = {
            each.id[0] if isinstance(each.id, tuple) else each.id: each.string for each in read_po(file) if each.id
        }

    assert [message for message in sorted(messages()) if not french.get(message)] == []


def test_every_kind_of_the_journal_has_a_word() -> None:
    noted = {
        look.KIND,
        machine.KIND,
        forecast.KIND,
        record.REFUSED,
        "gate",
        "functional test",
        "mail",
        "pop3",
        "production",
    }
    assert ({*changes.KINDS} | noted) - WORDS.keys() == set()


def test_every_reason_for_other_uids_is_there_in_french() -> None:
    """Those that are fixed: the constants of the module, and what its checks yield."""
    tree = ast.parse(Path(uids.__file__).read_text(encoding="utf-8"))
    told = (ast.Assign, ast.Yield, ast.Return)
    values = [each.value for each in ast.walk(tree) if isinstance(each, told)]
    reasons = {each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)} - {""}
    french = language.translations("fr")
    assert len(reasons) > 10 and [each for each in sorted(reasons) if french.gettext(each) == each] == []


def test_french_punctuation_does_not_begin_a_line() -> None:
    assert language.translations("fr").gettext("The server said:") == "Le serveur a dit\u00a0:"


def test_every_task_of_the_day_has_a_name_in_each_language() -> None:
    lacking = [
        (phase, task)
        for phase, of in names.lines().items()
        for task, line in of.items()
        if not {"en", "fr"} <= {*line.names}
    ]
    assert lacking == []


def test_the_browsers_language_is_taken_else_the_sites_first() -> None:
    assert language.chosen("fr-CA,fr;q=0.9,en;q=0.8", ["en"]) == "fr"
    assert language.chosen("de,en;q=0.5", ["fr", "en"]) == "en"
    assert language.chosen("de", ["fr", "en"]) == "fr"
    assert language.chosen("", ["fr", "en"]) == "fr"
    assert language.chosen("en;q=nonsense,;;", ["fr"]) == "fr"
    assert language.chosen("FR-ca", ["en"]) == "fr"
    assert language.chosen("FR", ["en"]) == "fr"
    assert language.chosen("en;q=0.1, fr; q=0.9", ["en"]) == "fr"
    assert language.chosen("fr;q=0, fr-CA;q=nan, fr-FR;q=inf", ["en"]) == "en"


PARIS = language.Reader.of("en", "Europe/Paris")
BACK = datetime(2026, 10, 25, 0, 30)  # UTC: half an hour before the clock in Paris is set back from three to two


@pytest.mark.parametrize(
    ("begin", "hours", "shown"),
    [
        (
            datetime(2026, 10, 24, 22),
            3.5,
            ["25 Oct", "00:30", "01:00", "01:30", "02:00", "02:30", "02:00", "02:30"],
        ),
        (datetime(2026, 10, 24, 4), 40, ["06:00", "12:00", "18:00", "25 Oct", "06:00", "12:00", "18:00"]),
        (datetime(2026, 3, 29, 0), 12, ["03:00", "04:00", "06:00", "08:00", "10:00", "12:00", "14:00"]),
        (datetime(2026, 6, 27, 4, 10), 240, ["29 Jun", "1 Jul", "3 Jul", "5 Jul", "7 Jul"]),
    ],
)
def test_an_axis_has_round_times_also_when_the_clock_is_set(begin: datetime, hours: float, shown: list[str]) -> None:
    along = timeline.Axis(begin, begin + timedelta(hours=hours))

    assert [PARIS.on_axis(each) for each in along.ticks(PARIS.zone)] == shown


def test_times_of_an_hour_that_comes_twice_are_told_apart() -> None:
    assert [PARIS.clock(BACK + timedelta(hours=n)) for n in (-1, 0, 1, 2)] == [
        "01:30:00", "02:30:00 CEST", "02:30:00 CET", "03:30:00",
    ]  # fmt: skip


def test_numbers_and_lengths_are_written_as_the_reader_does() -> None:
    english, french = (language.Reader.of(each, "Europe/Paris") for each in ("en", "fr"))

    assert (english.number(12345), french.number(12345)) == ("12,345", "12\u202f345")
    assert (english.size(1_500_000), french.size(1_500_000)) == ("1.5\u00a0MB", "1,5\u00a0Mo")
    assert english.duration(3_750) == "1\u00a0h 2\u00a0min"
    assert english.share(999, 1000) == "99\u202f%"
