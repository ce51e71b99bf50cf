"""The site file's section about accounts that move one by one."""

from datetime import time
from typing import Annotated

from pydantic import Field, model_validator

from bascule.site.infrastructure import PointPart
from bascule.site.values import Attribute, Clock, Part, Template, Weekday, like


class RoutePart(Part):
    """The attribute by which the IMAP proxies find an account's server; templates over `account` and `entry`."""

    attribute: Attribute
    old: Template
    new: Template


class HoursPart(Part):
    """When accounts may begin to move, on the clocks of the site's time zone."""

    begin: Clock = time(9)
    end: Clock = time(17)
    days: list[Weekday] = Field(default=["monday", "tuesday", "wednesday", "thursday", "friday"], min_length=1)

    @model_validator(mode="after")
    def _begins_before_its_end(self) -> "HoursPart":
        if self.begin >= self.end:
            raise ValueError("`begin` must be earlier than `end`, on the same day")
        return self


class MovesPart(Part):
    """Accounts that move one by one, behind IMAP proxies that ask the directory. Times in seconds."""

    proxies: list[str] = Field(min_length=1)
    exchangers: list[str] = []  # all hosts that are an MX; none: the one of `queues.mx`
    service: PointPart  # where users reach IMAP, through the proxies
    route: RoutePart
    delay_attribute: Attribute  # the proxies hold logins back until the instant that it names
    delay_seconds: int = Field(default=1, ge=1, le=25)  # at least; a login waits 30 s in a Dovecot proxy
    hold_attribute: Attribute  # the MX keeps the mail of whoever has it
    hold_value: Annotated[
        str, like(r"retry:4\.\d\.\d+ .+", "`retry:`, a code that begins with 4, and words, such as retry:4.2.1 moving")
    ] = "retry:4.2.1 mailbox is being moved"
    longest_hold: int = Field(default=120, ge=20, le=3600)
    small_pass: float = Field(default=3.0, gt=0)
    most_passes: int = Field(default=5, ge=1)
    at_once: int = Field(default=8, ge=1)
    calendars: bool = False  # whether users are led to new's calendars together with their mail
    hours: HoursPart | None = None  # None: accounts may go to new at any time
    per_hour: int = Field(default=0, ge=0)  # accounts that may begin to; 0: as many as can
    most_failures: int = Field(default=3, ge=1)  # of one run, after which the rest is left for later
    largest_group: int = Field(default=30, ge=1)  # accounts that share something, before a person is asked

    @model_validator(mode="after")
    def _attributes_differ(self) -> "MovesPart":
        names = [self.route.attribute.lower(), self.delay_attribute.lower(), self.hold_attribute.lower()]
        if len({*names}) < len(names):
            raise ValueError("`route.attribute`, `delay_attribute` and `hold_attribute` must be three attributes")
        return self
