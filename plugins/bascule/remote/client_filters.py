"""The client's filters: the active script by ManageSieve (RFC 5804), with a test's action in it. Sent with `client`."""

import base64
import re
import socket

from bascule.remote.client_connection import TIMEOUT, trust


class Sieve:
    """As much of ManageSieve (RFC 5804) as the tests need."""

    def __init__(self, request):
        self.socket = socket.create_connection((request["host"], request["port"]), timeout=TIMEOUT)
        self.stream = self.socket.makefile("rb")
        self.answer()
        self.say("STARTTLS")
        self.socket = trust(request).wrap_socket(self.socket, server_hostname=request["host"])
        self.stream = self.socket.makefile("rb")
        self.answer()
        plain = f"\0{request['user']}\0{request['password']}".encode()
        self.say(f'AUTHENTICATE "PLAIN" "{base64.b64encode(plain).decode()}"')

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.answer()

    def answer(self):
        """The lines before OK; a refusal raises ValueError with the server's words."""
        lines: list[str] = []
        while True:
            raw = self.stream.readline().decode(errors="replace")
            line = raw.rstrip("\r\n")
            if line.startswith("OK"):
                return lines
            if not raw or line.startswith(("NO", "BYE")):
                raise OSError(f"ManageSieve says {line or 'nothing more'}")
            lines.append(line)

    def scripts(self):
        """(names, the active one)"""
        lines = self.say("LISTSCRIPTS")
        names = [line.split('"')[1] for line in lines if line.startswith('"')]
        active = [line.split('"')[1] for line in lines if line.startswith('"') and line.endswith(" ACTIVE")]
        return names, active[0] if active else ""

    def get(self, name):
        self.socket.sendall(f'GETSCRIPT "{name}"\r\n'.encode())
        first = self.stream.readline().decode().strip()
        if not first.startswith("{"):
            raise OSError(f"ManageSieve says {first}")
        text = self.stream.read(int(first.strip("{+}"))).decode(errors="replace")
        self.answer()
        return text

    def put(self, name, text):
        data = text.encode()
        self.socket.sendall(f'PUTSCRIPT "{name}" {{{len(data)}+}}\r\n'.encode() + data + b"\r\n")
        self.answer()

    def activate(self, name):
        self.say(f'SETACTIVE "{name}"')


def sieve_login(request):
    names, active = Sieve(request).scripts()
    return {"scripts": names, "active": active}


def with_action(script, action):
    """The script with an action before all others, so that the rest of it goes on as before."""
    requires = re.match(r'(?s)(?:\s|#[^\n]*\n|/\*.*?\*/|require\s+(?:"[^"]*"|\[[^\]]*\])\s*;)*', script)
    head = requires[0] if requires else ""
    return f'require ["vacation"];\n{head}{action}{script[len(head) :]}'


def sieve_swap(request):
    """Make the active script, with the test's action in it, the active one; which was active before."""
    session = Sieve(request)
    names, active = session.scripts()
    if active == request["name"]:  # left behind by a test that died: the probe has one filter of its own
        active = next((name for name in names if name != request["name"]), "")
    session.put(request["name"], with_action(session.get(active) if active else "", request["action"]))
    session.activate(request["name"])
    return {"active": active}


def sieve_restore(request):
    """Make the script active again that was so before the test, and remove the test's own."""
    session = Sieve(request)
    session.activate(request["active"])
    session.say(f'DELETESCRIPT "{request["name"]}"')
    return {"active": session.scripts()[1]}
