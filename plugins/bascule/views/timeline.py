"""Where things stand on the timeline, in percent of its width, and the curve's points."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from bascule.views.day import Day, Span
from bascule.views.progress import Curve

TICKS = 8  # at most
STEPS = [timedelta(minutes=m) for m in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEAST = 0.25  # percent: what is shorter can't be seen


@dataclass(frozen=True)
class Axis:
    """The time from `begin` to `end` (UTC), 0 to 100."""

    begin: datetime
    end: datetime

    def at(self, moment: datetime) -> float:
        part = (moment - self.begin) / (self.end - self.begin)
        return round(100 * min(1.0, max(0.0, part)), 2)

    def bar(self, span: Span, now: datetime) -> tuple[float, float]:
        """Left edge and width."""
        left = self.at(span.began)
        return min(left, 100 - LEAST), max(LEAST, round(self.at(span.ended or now) - left, 2))

    def ticks(self, zone: tzinfo) -> list[datetime]:
        """Round moments of the reader's clock, also in a night in which it is set."""
        length = self.end - self.begin
        step = next((step for step in STEPS if length / step <= TICKS), STEPS[-1])
        midnight = self.begin.replace(tzinfo=UTC).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        found = []
        for count in range((length + DAY) // step + 2):
            # Hours are counted on the clock on the wall; less than one as time passes, since an hour may come twice.
            on_the_wall = midnight + step * count
            passed = (midnight.astimezone(UTC) + step * count).replace(tzinfo=None)
            moment = on_the_wall.astimezone(UTC).replace(tzinfo=None) if step > HOUR else passed
            if self.begin <= moment <= self.end:
                found.append(moment)
        return found


def axis(day: Day) -> Axis:
    """Long enough for the outage as it was forecast, while it goes on."""
    end = day.end
    if expected := expected_end(day):
        end = max(end, expected)
    return Axis(day.begin, end + (end - day.begin) * 0.02)


def expected_end(day: Day) -> datetime | None:
    """When the outage ends by the forecast, while it goes on."""
    span = day.forecast_span
    return span.ended if span and day.outage and not day.outage.ended else None


@dataclass(frozen=True)
class Drawn:
    """The curve in a box of 100 by 100: the points of its line, of the line to the expected end, and its axis."""

    line: str
    area: str
    dashes: str
    axis: Axis


def draw(curve: Curve) -> Drawn:
    """The curve's lines as SVG writes points."""
    end = max(curve.end, curve.expected) if curve.expected else curve.end
    along = Axis(curve.begin, end + (end - curve.begin) * 0.02)
    total = max(1, curve.total)
    steps: list[tuple[float, float]] = []
    for point in curve.points:
        x, y = along.at(point.at), round(100 - 100 * min(1.0, point.done / total), 2)
        steps.append((x, y))
    last = steps[-1]
    dashes = [last, (along.at(curve.expected), 0.0)] if curve.expected else []
    return Drawn(_points(steps), _points([*steps, (last[0], 100.0), (steps[0][0], 100.0)]), _points(dashes), along)


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in pairs)
