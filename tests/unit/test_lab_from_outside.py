"""The program that logs in from outside while the day goes on: what it says, and the outage that its lines show."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts.tls import Authority
from lab.measure import reader
from lab.measure.from_outside import Seen, seen


def lines(*acts: tuple[float, str]) -> list[str]:
    return [f"{at:.3f} {words}\n" for at, words in acts]


def test_the_outage_is_the_longest_time_between_two_successful_acts() -> None:
    said = lines(
        (10.0, "ok"), (10.5, "ok"), (11.5, "TimeoutError: timed out"), (14.0, "ok"), (20.0, "ok"), (20.5, "ok")
    )
    assert seen(said) == Seen(acts=6, refused=1, seconds=6.0, began=14.0, ended=20.0)


def test_what_was_said_first_in_the_outage_is_told() -> None:
    said = lines((1.0, "ok"), (2.0, "EOF: shut"), (30.0, "TimeoutError: timed out"), (61.0, "ok"), (61.5, "ok"))
    assert seen(said) == Seen(acts=5, refused=2, seconds=60.0, began=1.0, ended=61.0, words="EOF: shut")


def test_who_is_never_let_in_again_has_an_outage_without_an_end() -> None:
    said = lines((1.0, "ok"), (3.0, "ok"), (4.0, "refused"), (50.0, "refused"))
    assert seen(said) == Seen(acts=4, refused=2, seconds=47.0, began=3.0, ended=None, words="refused")


def test_without_a_successful_act_no_outage_is_known() -> None:
    assert seen([]) == Seen()
    assert seen(lines((1.0, "error: NO"))) == Seen(acts=1, refused=1, words="error: NO")


def test_a_line_that_was_cut_off_is_left_out() -> None:
    assert seen([*lines((1.0, "ok"), (1.5, "ok")), "17", "90.0 o"]).seconds == 0.5
    assert seen([*lines((1.0, "ok")), "\n", "lab: something else\n"]).acts == 1


def test_the_program_is_the_hosts_pythons_alone_and_ends_with_its_input(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        asked = {
            "host": "127.0.0.1",
            "port": nobody.getsockname()[1],
            "account": "anna",
            "password": "x",
            "pause": 0.05,
        }
        asked["trust"] = Authority(tmp_path).pem
        program = Path(reader.__file__).read_text(encoding="utf-8")
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            said = [process.stdout.readline() for _ in range(3)]
            process.stdin.close()
            assert process.wait(10) == 0
    assert [line.split()[1] for line in said] == ["ConnectionRefusedError:"] * 3
    assert seen(said).refused == 3


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def port(authority: Authority, tmp_path: Path) -> Iterator[int]:
    """An IMAP server for one connection at a time, which knows one password."""
    (tmp_path / "host.pem").write_text((certificate := authority.issue("new")).chain + certificate.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "host.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening, tls), daemon=True).start()
        yield listening.getsockname()[1]


def serve(listening: socket.socket, tls: ssl.SSLContext) -> None:
    while True:
        try:
            session = tls.wrap_socket(listening.accept()[0], server_side=True)
        except ssl.SSLError:  # the client does not trust it
            continue
        except OSError:
            return
        with session, session.makefile("rw", newline="") as talk:
            talk.write("* OK [CAPABILITY IMAP4rev1] ready\r\n")
            talk.flush()
            for line in talk:
                tag, command, rest = f"{line.strip()}  ".split(" ", 2)
                good = command != "LOGIN" or '"right"' in rest
                untagged = {"CAPABILITY": "* CAPABILITY IMAP4rev1\r\n", "LOGOUT": "* BYE\r\n"}.get(command, "")
                talk.write(f"{untagged}{tag} {'OK' if good else 'NO'} {command} said\r\n")
                talk.flush()
                if command == "LOGOUT":
                    break


@pytest.mark.parametrize(("password", "said"), [("right", "ok"), ("wrong", "error: b'LOGIN said'")])
def test_an_act_is_a_login_and_a_look_into_the_inbox(authority: Authority, port: int, password: str, said: str) -> None:
    trust = ssl.create_default_context(cadata=authority.pem)
    trust.check_hostname = False  # this one is called 127.0.0.1
    asked = {"host": "127.0.0.1", "port": port, "account": "anna", "password": password}
    for _ in range(2):
        assert reader.one_act(asked, trust) == said


def test_a_server_of_another_authority_is_not_read(port: int, tmp_path: Path) -> None:
    trust = ssl.create_default_context(cadata=Authority(tmp_path / "other").pem)
    asked = {"host": "127.0.0.1", "port": port, "account": "anna", "password": "right"}
    assert reader.one_act(asked, trust).startswith("SSLCertVerificationError")
