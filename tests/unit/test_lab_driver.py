"""What the lab says on a machine that can't run it."""

import os
import shutil

import pytest

from lab.__main__ import main
from lab.hosts import driver, images
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
