"""What the site file's parts are made of: values that refuse what they can't be with a sentence that says what would
be right.
"""

import ipaddress
import re
from datetime import time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Part(BaseModel):
    """One part of the site file. Unknown keys are errors: most of them are typing errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory of them, such as Europe
        raise ValueError(f"no time zone is called {name!r}; write one as in Europe/Paris") from None
    return name


def _template(text: str) -> str:
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(autoescape=True).parse(text)
    except TemplateSyntaxError as error:
        raise ValueError(f"is no Jinja2 template: {error.message}") from None
    return text


def like(pattern: str, right: str) -> AfterValidator:
    """A check against a pattern, with an error that says what would be right."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {right}")
        return text

    return AfterValidator(check)


def _each_once(values: list[str]) -> list[str]:
    if len({*values}) != len(values):
        raise ValueError("names something twice")
    return values


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("must be an absolute path")
    return path


def _of_the_clock(value: object) -> object:
    """YAML takes 17:30 without quotation marks for a number of minutes."""
    return f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) and 0 <= value < 24 * 60 else value


Template = Annotated[str, AfterValidator(_template)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
Port = Annotated[int, Field(ge=1, le=65535)]
Unit = Annotated[
    str,
    like(r"[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|target)", "a unit's whole name, such as dovecot.service"),
]
HostName = Annotated[
    str, like(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", "a name that DNS can know, such as mail.example.org")
]
ConnectionId = Annotated[str, like(r"[A-Za-z0-9_.-]+", "the id of an Airflow connection, such as bascule_ssh_old")]
Attribute = Annotated[
    str, like(r"[A-Za-z][A-Za-z0-9-]*", "an attribute's name in the directory, such as mailRoutingAddress")
]
Url = Annotated[str, like(r"https?://[^\s]+", "an address that begins with https:// or http://")]
IpInterface = Annotated[str, AfterValidator(lambda text: str(ipaddress.ip_interface(text)))]
IpNetwork = Annotated[str, AfterValidator(lambda text: str(ipaddress.ip_network(text)))]
MailAddress = Annotated[
    str, like(r"[^\s@,<>]+@[^\s@,<>]+", "a mail address and nothing else, such as postmaster@example.org")
]
Languages = Annotated[list[Literal["en", "fr"]], Field(min_length=1), AfterValidator(_each_once)]
Security = Literal["tls", "starttls", "plain"]
Clock = Annotated[time, BeforeValidator(_of_the_clock)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Side = Literal["old", "new"]
