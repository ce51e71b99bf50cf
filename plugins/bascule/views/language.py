"""Words, numbers and times as the reader writes them: gettext's catalogues by Babel, in the site's time zone."""

import contextlib
import gettext
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_skeleton
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LOCALES = Path(__file__).parent / "locale"
LANGUAGES = ("en", "fr")
UNBROKEN = re.compile(r"(?<=\w|»|\)) ([:;?!»])")  # no line begins with these, which French sets apart
LOCALE_OF = {"en": "en_GB", "fr": "fr_FR"}


def chosen(accepted: str, site_languages: Sequence[str]) -> str:
    """The language for a browser that sends this Accept-Language; the site's first one where it wants no other.

    RFC 9110, 12.5.4: letters count the same in both cases, and a weight of 0 is what it does not take.
    """
    wanted = []
    for part in accepted.lower().split(",")[:20]:
        tag, _, weight = "".join(part.split()).partition(";q=")
        with contextlib.suppress(ValueError):
            if 0 < (of := float(weight or 1)) <= 1:
                wanted.append((-of, tag))
    preferred = [tag for _, tag in sorted(wanted, key=lambda pair: pair[0])]
    return negotiate_locale(preferred, LANGUAGES, sep="-") or site_languages[0]


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalogue of a language, read from its .po file: there is nothing to compile and to forget."""
    file = LOCALES / f"{language}.po"
    if not file.exists():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    read = UNBROKEN.sub("\u00a0\\1", file.read_text(encoding="utf-8"))
    write_mo(compiled, read_po(io.StringIO(read), locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@lru_cache(maxsize=10_000)
def _written(value: float, pattern: str, language: str) -> str:
    """A number in the reader's language; a page has hundreds, and most of them again at the next look."""
    return format_decimal(value, format=pattern, locale=LOCALE_OF[language])


@dataclass(frozen=True)
class Reader:
    """Who reads: the language and the time zone."""

    language: str
    zone: tzinfo
    locale: Locale = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "locale", Locale.parse(LOCALE_OF[self.language]))

    @classmethod
    def of(cls, language: str, zone: str) -> "Reader":
        return cls(language, ZoneInfo(zone))

    def text(self, message: str, **values: object) -> str:
        """The message in the reader's language, with the values in it."""
        return translations(self.language).gettext(message) % values

    def texts(self, one: str, many: str, n: int, **values: object) -> str:
        """The same of a message that counts; `%(n)s` in it is the number as people write it."""
        return translations(self.language).ngettext(one, many, n) % {"n": self.number(n), **values}

    def number(self, value: float) -> str:
        """1,234 or 1 234; never broken at the end of a line."""
        return _written(value, "#,##0", self.language)

    def decimal(self, value: float) -> str:
        """One place after the comma, for what is small."""
        return _written(value, "#,##0.0" if value < 100 else "#,##0", self.language)

    def size(self, octets: float) -> str:
        """Bytes in the unit that people read best."""
        units = [self.text(unit) for unit in ("bytes", "kB", "MB", "GB", "TB")]
        value = float(octets)
        while value >= 1000 and len(units) > 1:
            value, units = value / 1000, units[1:]
        shown = _written(round(value, 1), "0.0" if value < 100 and octets >= 1000 else "0", self.language)
        return f"{shown}\u00a0{units[0]}"

    def share(self, part: float, whole: float) -> str:
        """A part of a whole, in percent: 100 % only when nothing is missing."""
        percent = min(99, int(100 * part / whole)) if whole > part else 100
        return f"{percent}\u202f%"

    def here(self, moment: datetime) -> datetime:
        """A moment of the ledger (UTC, without a mark) on the reader's clock."""
        return moment.replace(tzinfo=UTC).astimezone(self.zone)

    def clock(self, moment: datetime | None, seconds: bool = True) -> str:
        """The time of day; in the hour that comes twice, when the clock is set back, with the name of its time."""
        if moment is None:
            return ""
        here = self.here(moment)
        twice = here.utcoffset() != here.replace(fold=1 - here.fold).utcoffset()
        return here.strftime(("%H:%M:%S" if seconds else "%H:%M") + (" %Z" if twice else ""))

    def on_axis(self, moment: datetime) -> str:
        """The time below an axis; at midnight the day that begins."""
        here = self.here(moment)
        if here.hour or here.minute:
            return here.strftime("%H:%M")
        return format_skeleton("MMMd", here.date(), locale=self.locale)

    def day(self, moment: datetime) -> str:
        return format_date(self.here(moment).date(), format="medium", locale=self.locale)

    def moment(self, moment: datetime | None, beside: datetime | None = None, *, seconds: bool = True) -> str:
        """Date and time; the time alone where the date is that of the moment `beside`."""
        if moment is None:
            return ""
        if beside is not None and self.here(beside).date() == self.here(moment).date():
            return self.clock(moment, seconds)
        return f"{self.day(moment)} {self.clock(moment, seconds)}"

    def duration(self, length: timedelta | float | None) -> str:
        """A length of time in its two largest units."""
        if length is None:
            return ""
        seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
        if seconds < 10:
            return f"{_written(round(max(seconds, 0.0), 1), '0.#', self.language)}\u00a0s"
        left, parts = round(seconds), []
        for unit, worth in ((self.text("d"), 86400), ("h", 3600), ("min", 60), ("s", 1)):
            count, left = divmod(left, worth)
            if count:
                parts.append(f"{count}\u00a0{unit}")
        return " ".join(parts[:2]) or "0\u00a0s"
