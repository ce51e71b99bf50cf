"""Reasons for people: the system's and the servers' words, and no name of Python's."""

import re
import smtplib
import socket
import ssl

import httpx
import imapclient
import pytest
from bascule.text.harmless import harmless
from bascule.text.reason import place_of, reason


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "wrong version number"),
        (imapclient.exceptions.LoginError("b'[AUTHENTICATIONFAILED] wrong'"), "[AUTHENTICATIONFAILED] wrong"),
        (TimeoutError(), "no answer in time"),
        (httpx.ConnectTimeout(""), "no answer in time"),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 authentication failed"), "535 5.7.8 authentication failed"),
        (smtplib.SMTPRecipientsRefused({"a@b.test": (550, b"no such user")}), "a@b.test: 550 no such user"),
        (TimeoutError("no output and no end for 120 s"), "no output and no end for 120 s"),
        (EOFError(), "without a reason"),
    ],
)
def test_a_reason_has_the_words_of_others_and_no_name_of_python_s(error: Exception, words: str) -> None:
    assert reason(error) == words


def test_a_mistake_is_told_by_its_place_in_bascule() -> None:
    """Also where a library was handed something wrong."""

    class Odd(str):
        def translate(self, _: object) -> str:
            raise ArithmeticError("3")

    with pytest.raises(ArithmeticError) as caught:
        harmless(Odd())
    assert re.fullmatch(r"harmless\.py, line \d+", place_of(caught.value))
    assert place_of(ValueError("never raised")) == "at an unknown place"
