"""The site file: a right one is read, a wrong one tells every error with its line."""

from pathlib import Path

import pytest
import yaml
from bascule import site

LAB_SITE = Path(__file__).parents[2] / "lab" / "site.yaml"


def text_with(**changes: object) -> str:
    raw = yaml.safe_load(LAB_SITE.read_text(encoding="utf-8"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = raw
        for key in parents:
            part = part[key]
        if value is None:
            del part[last]
        else:
            part[last] = value
    return yaml.safe_dump(raw, sort_keys=False)


def errors_of(text: str) -> str:
    with pytest.raises(site.SiteError) as caught:
        site.parse(text, "site.yaml")
    return str(caught.value)


def test_the_labs_file_is_right() -> None:
    assert site.load(LAB_SITE).domain == "obs.test"


def test_every_error_is_told_at_once() -> None:
    text = errors_of(text_with(timezone="Paris/Europe", virtual_machine__name="../vm", aliases__path="etc/aliases"))
    assert "3 error(s)" in text
    assert "timezone: no time zone is called 'Paris/Europe'" in text
    assert "virtual_machine.name" in text
    assert "aliases.path: must be an absolute path" in text


def test_an_error_names_the_line_to_mend() -> None:
    text = text_with(queues__poll_seconds="soon")
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "poll_seconds" in line)
    assert f"line {line}: queues.poll_seconds" in errors_of(text)


def test_a_missing_key_names_the_line_of_its_section() -> None:
    text = text_with(aliases__path=None)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith("aliases:"))
    assert f"line {line}: aliases.path: this key is missing" in errors_of(text)


def test_an_unknown_key_is_an_error() -> None:
    assert "directory.bsae: no such key; is it a typing error?" in errors_of(text_with(directory__bsae="dc=x"))


def test_a_host_that_is_not_in_hosts_is_named_with_its_key() -> None:
    text = errors_of(text_with(isolation__old__refused_from=["client", "nowhere"]))
    assert "isolation.old.refused_from names the host 'nowhere'" in text


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("languages", [], "languages: "),
        ("languages", ["fr", "fr"], "languages: names something twice"),
        ("languages", ["de"], "languages"),
        ("timezone", "Europe", "timezone: no time zone is called 'Europe'"),
        ("timezone", "", "timezone: no time zone is called ''"),
        ("notify", {"mail": ["Postmaster <postmaster@obs.test>"]}, "notify.mail.0: must be a mail address"),
        ("notify", {"mail": ["postmaster@obs.test\nBcc: all@obs.test"]}, "notify.mail.0: must be a mail address"),
    ],
)
def test_what_would_only_fail_later_is_told_at_once(key: str, value: object, told: str) -> None:
    assert told in errors_of(text_with(**{key: value}))


def test_a_broken_template_is_named() -> None:
    assert "is no Jinja2 template" in errors_of(text_with(directory__destination__after="{{ account"))


def test_text_that_is_no_yaml_names_line_and_column() -> None:
    assert "line 2, column" in errors_of("name: x\n  domain: [unclosed\n")


@pytest.mark.parametrize("text", ["", "- a list", "just words"])
def test_a_file_that_holds_no_keys_is_refused(text: str) -> None:
    assert "must hold keys and values" in errors_of(text)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(site.SiteError, match=r"can't be read: No such file"):
        site.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"moves__hold_value": "discard:"}, "moves.hold_value: must be `retry:`, a code that begins with 4, and words"),
        ({"moves__hold_attribute": "MAILHOST"}, "must be three attributes"),
        ({"moves__delay_seconds": 60}, "moves.delay_seconds: input should be less than or equal to 25"),
        ({"moves__proxies": ["elsewhere"]}, "moves.proxies names the host 'elsewhere'"),
    ],
)
def test_a_wrong_part_for_moves_says_what_would_be_right(change: dict[str, object], sentence: str) -> None:
    assert sentence in errors_of(text_with(**change))
