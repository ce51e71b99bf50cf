"""What runs beside the users' filters, by the settings of two real configurations of Dovecot."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from bascule.checks.preflight.filters import beside_the_filters
from bascule.checks.preflight.finding import Finding

from tests.local_host import LocalHost

pytestmark = pytest.mark.skipif(not shutil.which("doveconf"), reason="no Dovecot on this machine")
BASE = """
ssl = no
protocols = imap lmtp sieve
mail_plugins = quota
protocol lmtp {{
  mail_plugins = $mail_plugins {plugin}
}}
{more}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
  {settings}
}}
"""

Look = Callable[..., list[Finding]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """The findings for settings of old and new; `old/` and `new/` in a setting are directories of that host."""

    def go(old: str = "", new: str = "", *, plugin: str = "sieve", more: str = "", version: str = "") -> list[Finding]:
        def remote(name: str) -> LocalHost:
            config = tmp_path / f"{name}.conf"
            settings = {"old": old, "new": new}[name].replace("/HERE", str(tmp_path))
            fill = {"plugin": "sieve", "more": ""} if name == "old" else {"plugin": plugin, "more": more}
            config.write_text(BASE.format(settings=settings, **fill))

            def changed(command: list[str]) -> list[str]:
                if command[:2] == ["dovecot", "--version"]:
                    return ["echo", version or "2.3.19.1"]
                return [command[0], "-c", str(config), *command[1:]] if command[0] == "doveconf" else command

            return LocalHost(name, changed)

        part = SimpleNamespace(old=SimpleNamespace(host="old"), new=SimpleNamespace(host="new"))
        access = SimpleNamespace(site=SimpleNamespace(mailboxes=part), remote=remote)
        return list(beside_the_filters(access))  # type: ignore[arg-type]

    return go


def script(path: Path, text: str = "keep;\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def sentences(found: list[Finding]) -> list[str]:
    assert {finding.subject for finding in found} == {"filters"}
    return [finding.sentence for finding in found]


def test_the_same_is_said_to_be_the_same(look: Look) -> None:
    (found,) = look("sieve_max_actions = 101", "sieve_max_actions = 101")
    assert (found.level, found.sentence) == ("ok", "what runs beside the users' filters is the same on old and new")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sieve_max_actions = 101", "", "`sieve_max_actions` is 101 on old and 32 on new"),
        ("sieve_max_actions = 0", "sieve_max_actions = 50", "is 0 on old and 50 on new"),
        ("", "sieve_max_actions = 50", ""),
        ("sieve_max_script_size = 2M", "sieve_max_script_size = 2048k", ""),
        ("sieve_max_script_size = 2M", "", "is 2M on old and 1M on new"),
        ("", "sieve_quota_max_scripts = 5", "is 0 on old and 5 on new"),
        ("sieve_max_cpu_time = 1 mins", "", "is 1 mins on old and 30s on new"),
        ("sieve_vacation_min_period = 0", "", "`sieve_vacation_min_period` is 0 on old and 1d on new"),
    ],
)
def test_limits_and_settings(look: Look, old: str, new: str, said: str) -> None:
    (found,) = look(old, new)
    assert (found.level, said in found.sentence) == ("warning" if said else "ok", True)


def test_scripts_that_new_lacks_are_named(look: Look, tmp_path: Path) -> None:
    for name in ("spam", "virus"):
        script(tmp_path / "before" / f"{name}.sieve")
    script(tmp_path / "after.sieve", "stop;\n")
    script(tmp_path / "default.sieve", "discard;\n")
    settings = "sieve_before = /HERE/before\n sieve_after2 = file:/HERE/after.sieve;name=x\n"
    found = sentences(look(f"{settings} sieve_default = /HERE/default.sieve\n", ""))
    assert [sentence.split(", and new")[0] for sentence in found] == [
        "old runs spam.sieve, virus.sieve before each filter (`sieve_before`)",
        "old runs after.sieve after each filter (`sieve_after`)",
        "old runs default.sieve for whoever has no filter (`sieve_default`)",
    ]


def test_the_same_text_under_another_name_is_the_same(look: Look, tmp_path: Path) -> None:
    script(tmp_path / "a" / "spam.sieve")
    script(tmp_path / "b" / "junk.sieve")
    assert look("sieve_before = /HERE/a", "sieve_before = /HERE/b/junk.sieve")[0].level == "ok"


def test_another_text_and_one_too_many_are_named(look: Look, tmp_path: Path) -> None:
    script(tmp_path / "a" / "spam.sieve")
    script(tmp_path / "b" / "spam.sieve", "stop;\n")
    script(tmp_path / "b" / "more.sieve", "discard;\n")
    found = sentences(look("sieve_before = /HERE/a", "sieve_before = /HERE/b"))
    assert [sentence.split(",")[0] for sentence in found] == [
        "spam.sieve", "new runs more.sieve before each filter (`sieve_before`)"
    ]  # fmt: skip


def test_places_that_are_not_there_or_depend_on_the_user_are_named(look: Look) -> None:
    found = sentences(look("sieve_before = /nowhere", "sieve_after = /var/%u.sieve"))
    assert found == [
        "there is no script on old where its settings say: sieve_before = /nowhere",
        "not compared on new, since it is no file that all have in common: sieve_after = /var/%u.sieve",
    ]


def test_a_place_that_is_no_file_is_named(look: Look) -> None:
    (said,) = sentences(look("sieve_before = dict:file:/etc/x;name=y"))
    assert said.startswith("not compared on old") and "dict:file:/etc/x" in said


INCLUDING = "for filters that include it (`include :global`)"
GLOBAL = [
    "sieve_global = /HERE/global/",
    "sieve_global = file:/HERE/global;bindir=/x",
    "sieve_global_dir = /HERE/global",
]


@pytest.mark.parametrize("setting", GLOBAL)
def test_scripts_that_filters_may_include_are_compared_by_their_names(look: Look, tmp_path: Path, setting: str) -> None:
    """`include :global "lists"` asks for this name: the same text under another one is of no use."""
    for name, text in (("lists", "stop;\n"), ("spam", "keep;\n"), ("virus", "discard;\n")):
        script(tmp_path / "global" / f"{name}.sieve", text)
    for name, text in (("listes", "stop;\n"), ("spam", "keep;\n"), ("virus", "stop;\n"), ("own", "keep;\n")):
        script(tmp_path / "new" / f"{name}.sieve", text)
    assert sentences(look(setting, "sieve_global = /HERE/new")) == [
        f"old has lists.sieve {INCLUDING}, and new does not: such a filter fails there, and its mail stays in the "
        "inbox. Install it under the same name",
        f"virus.sieve, run {INCLUDING} (`sieve_global`), is another text on new: compare",
    ]
    assert "old has lists.sieve, spam.sieve, virus.sieve for filters" in sentences(look(setting))[0]
    assert look(setting, setting)[0].level == "ok"
    assert look("", setting)[0].level == "ok", "more than old has does no harm"


@pytest.mark.parametrize("setting", ["sieve_default", "sieve_global_path"])
def test_the_filter_of_whoever_has_none_is_compared_by_its_text(look: Look, tmp_path: Path, setting: str) -> None:
    script(tmp_path / "a.sieve", "discard;\n")
    script(tmp_path / "b.sieve", "discard;\n")
    assert "old runs a.sieve for whoever has no filter" in sentences(look(f"{setting} = /HERE/a.sieve"))[0]
    assert look(f"{setting} = /HERE/a.sieve", "sieve_default = /HERE/b.sieve")[0].level == "ok"


def test_a_delivery_that_runs_no_filter_is_a_failure(look: Look) -> None:
    (found,) = look(plugin="")
    assert (found.level, "runs no filter at all" in found.sentence) == ("failure", True)


def test_another_delimiter_is_named(look: Look) -> None:
    assert "`recipient_delimiter` is + on old and - on new" in sentences(look(more="recipient_delimiter = -"))[0]


def test_of_another_server_it_is_said_that_nothing_was_compared(look: Look) -> None:
    (found,) = look(version="2.4.0")
    assert (found.level, found.sentence.split(":")[0]) == ("warning", "not compared")
