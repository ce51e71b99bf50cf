"""Connections from the environment: what a person wrote into them wrongly is told, and nothing secret with it."""

import json
from typing import Any

import pytest
from bascule.hosts.connections import AccessError, EnvironmentConnections


def get(text: str) -> Any:
    return EnvironmentConnections({"AIRFLOW_CONN_IMAP_NEW": text}).get("imap_new")


def test_all_parts_are_taken() -> None:
    extra = {"ca": "/etc/ca.pem"}
    raw = {"host": "imap", "port": "993", "login": "master", "password": "s3cret", "extra": extra}
    for written in (raw, {**raw, "port": 993, "extra": json.dumps(extra)}):
        found = get(json.dumps(written))
        assert (found.host, found.port, found.login, found.password) == ("imap", 993, "master", "s3cret")
        assert found.extra == extra


def test_what_is_left_out_is_empty() -> None:
    found = get("{}")
    assert (found.host, found.port, found.login, found.password, found.extra) == ("", None, "", "", {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "the variable AIRFLOW_CONN_IMAP_NEW is not a JSON object"),
        ('["imap"]', "the variable AIRFLOW_CONN_IMAP_NEW is not a JSON object"),
        ('{"password": 4711}', "`password` of the connection `imap_new` is no text: write it in quotation marks"),
        ('{"login": ["master"]}', "`login` of the connection `imap_new` is no text"),
        ('{"port": "imaps"}', "`port` of the connection `imap_new` is 'imaps': write a number"),
        ('{"port": [993]}', "`port` of the connection `imap_new` is [993]: write a number"),
        ('{"extra": ["ca"]}', "`extra` of the connection `imap_new` is no JSON object"),
        ('{"extra": "ca: /etc"}', "`extra` of the connection `imap_new` is no JSON object"),
    ],
)
def test_what_is_written_wrongly_is_told(text: str, words: str) -> None:
    with pytest.raises(AccessError) as refused:
        get(text)
    assert words in str(refused.value) and "4711" not in str(refused.value)


def test_a_connection_that_is_not_there_is_named() -> None:
    with pytest.raises(AccessError, match="no connection `imap_old`: set it in Airflow, or the variable"):
        EnvironmentConnections({}).get("imap_old")
