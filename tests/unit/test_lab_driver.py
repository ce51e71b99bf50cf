"""What the lab says: on a machine that can't run it, and on what takes long."""

import os
import shutil
from pathlib import Path

import pytest

from lab.__main__ import main
from lab.hosts import driver, images
from lab.paths import Instance
from lab.shell import LabError, run


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["up"]) == 2
    assert capsys.readouterr().err == "lab: the lab boots hosts and makes network namespaces: run it as root\n"


def test_missing_tool_is_named_with_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    known = shutil.which
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "systemd-nspawn" else known(tool) or "/bin/x")
    with pytest.raises(LabError, match=r"^systemd-nspawn is missing: .*lab/packages\.txt"):
        driver.check_prerequisites()


def test_machine_without_namespaces_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: f"/bin/{tool}")
    monkeypatch.setattr(images, "can_make_namespaces", lambda: False)
    assert "no new namespaces" in (images.usable() or "")


def test_instance_name_that_could_do_harm_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--instance", "../x", "status"]) == 2
    assert capsys.readouterr().err.startswith("lab: instance name '../x'")


def test_failed_command_shows_the_end_of_what_it_said() -> None:
    with pytest.raises(LabError, match="exit status 3:\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])


def test_what_is_removed_for_longer_than_two_seconds_is_told_host_by_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = Instance("gone", checkout=tmp_path)
    for name in ("new", "old"):
        (instance.state / "hosts" / name / "mail").mkdir(parents=True)
    driver._remove_hosts(instance)
    assert (list((instance.state / "hosts").iterdir()), capsys.readouterr().out) == ([], "")
    monkeypatch.setattr(driver, "QUIET_SECONDS", -1)
    (instance.state / "hosts" / "old").mkdir()
    driver._remove_hosts(instance)
    assert capsys.readouterr().out == "lab: gone: what old had on its disk is removed (0 s)\n"
