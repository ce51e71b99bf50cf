"""What runs on the client's host for the functional tests: sent to `python3 -` there, standard library only.

Each function takes the request as a dict and returns what it saw; what is judged about it is judged by the sender. One
calls curl besides.
The request comes with the program on standard input, so no secret is ever in a list of processes.
"""

import base64
import imaplib
import os
import pathlib
import poplib
import re
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT = 20.0  # seconds for each connection


def trust(request):
    """The client's own trust store, and the site's authority when the connection names one."""
    context = ssl.create_default_context()
    if request.get("authority"):
        context.load_verify_locations(cadata=request["authority"])
    return context


def open_imap(request):
    """A logged-in IMAP session, its certificate checked for the name that users have configured."""
    session = imaplib.IMAP4_SSL(request["host"], request["port"], ssl_context=trust(request), timeout=TIMEOUT)
    session.login(request["user"], request["password"])
    return session


def imap_login(request):
    session = open_imap(request)
    status, data = session.select("INBOX", readonly=True)
    session.logout()
    return {"selected": status == "OK", "messages": int(data[0]) if status == "OK" else 0}


def quota(request):
    """Announce a message that is larger than the mailbox may be; nothing of it is ever sent. The server's answer."""
    session = open_imap(request)
    _, data = session.getquotaroot("INBOX")
    limits = [
        int(found[1]) for part in data[1:] for item in part for found in re.findall(rb"STORAGE (\d+) (\d+)", item)
    ]
    if not limits:
        session.logout()
        return {"limit": 0, "answer": ""}
    session.send(b"X1 APPEND INBOX {%d}\r\n" % (min(limits) * 1024 + 1))
    answer = session.readline().decode(errors="replace").strip()
    session.shutdown()  # whatever the answer was: a literal that was announced must not be sent
    return {"limit": min(limits), "answer": answer}


def pop3_login(request):
    session = poplib.POP3_SSL(request["host"], request["port"], context=trust(request), timeout=TIMEOUT)
    session.user(request["user"])
    session.pass_(request["password"])
    count, size = session.stat()
    uidls = [line.split()[1].decode() for line in session.uidl()[1]]
    session.quit()
    return {"messages": count, "bytes": size, "uidls": uidls}


def send(request):
    """One message: from outside by the MX, or, with `user`, by the submission service."""
    session = smtplib.SMTP(request["host"], request["port"], timeout=TIMEOUT)
    try:
        session.ehlo()
        if request.get("user"):
            session.starttls(context=trust(request))
            session.ehlo()
            session.login(request["user"], request["password"])
        refused = session.sendmail(request["from"], request["to"], request["message"].encode())
        return {"refused": {name: str(why) for name, why in refused.items()}}
    except smtplib.SMTPRecipientsRefused as error:
        return {
            "refused": {
                name: f"{code} {words.decode(errors='replace')}" for name, (code, words) in error.recipients.items()
            }
        }
    finally:
        session.close()


def folders_of(session):
    names = []
    for line in session.list()[1]:
        text = line[0] + b' "' + line[1] + b'"' if isinstance(line, tuple) else line
        match = re.match(rb'\((?P<flags>[^)]*)\) (?:"[^"]*"|NIL) (?P<name>.*)$', text or b"")
        if match and b"\\noselect" not in match["flags"].lower():
            names.append(match["name"].decode())
    return names


def find_message(request):
    """Every folder in which a message with this Message-Id is; waits until there is one, then looks once more."""
    session = open_imap(request)
    deadline = time.monotonic() + request["wait"]
    places: list[str] = []
    while True:
        again = bool(places)
        places = search_everywhere(session, request["message_id"])
        if again or time.monotonic() > deadline:
            break
        time.sleep(2.0 if places else 0.5)  # a second copy, if there is one, comes a moment after the first
    session.logout()
    return {"folders": places}


def uids_in_inbox(request):
    """The UIDs in INBOX of the messages with this Message-Id."""
    session = open_imap(request)
    session.select("INBOX", readonly=True)
    data = session.uid("SEARCH", "HEADER", "Message-ID", f'"{request["message_id"]}"')[1]
    session.logout()
    return {"uids": [int(uid) for uid in data[0].split()] if data and data[0] else []}


def search_everywhere(session, message_id):
    places = []
    for name in folders_of(session):
        if session.select(name, readonly=True)[0] != "OK":
            continue
        status, data = session.uid("SEARCH", "HEADER", "Message-ID", f'"{message_id}"')
        if status == "OK":
            places += [name.strip('"')] * len(data[0].split())
    return places


def remove_message(request):
    """Remove the test's own messages, known by their Message-Id, so that nothing of the test stays."""
    session, removed = open_imap(request), 0
    for name in folders_of(session):
        if session.select(name)[0] != "OK":
            continue
        data = session.uid("SEARCH", "HEADER", "Message-ID", f'"{request["message_id"]}"')[1]
        for uid in data[0].split() if data and data[0] else []:
            session.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)")
            session.uid("EXPUNGE", uid)
            removed += 1
    session.logout()
    return {"removed": removed}


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
                raise ValueError(f"ManageSieve says {line or 'nothing more'}")
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
            raise ValueError(f"ManageSieve says {first}")
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


class Path(urllib.request.HTTPRedirectHandler):
    """Follows redirects and remembers them."""

    def __init__(self):
        self.steps = []

    def redirect_request(self, request, fp, code, msg, headers, newurl):
        self.steps.append([code, newurl])
        return super().redirect_request(request, fp, code, msg, headers, newurl)


def web_page(request):
    """Open a page as a browser does; the redirects on the way, the last address, the page's text."""
    path = Path()
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust(request)), path)
    try:
        with opener.open(request["url"], timeout=TIMEOUT) as answer:
            return {
                "status": answer.status,
                "url": answer.url,
                "steps": path.steps,
                "text": answer.read(500_000).decode(errors="replace"),
            }
    except urllib.error.HTTPError as error:
        return {"status": error.code, "url": error.url, "steps": path.steps, "text": ""}


def curl(request, method, address, *headers, body=""):
    """(status, text) of one request by curl, another program than the one that carried the calendars.

    The login comes to it on standard input, and so into no list of processes.
    """
    known = pathlib.Path(ssl.get_default_verify_paths().cafile or os.devnull)
    with tempfile.TemporaryDirectory() as folder:
        authority, content = pathlib.Path(folder, "authority"), pathlib.Path(folder, "content")
        authority.write_text(f"{request.get('authority') or ''}\n{known.read_text()}")
        content.write_text(body)
        given = {
            "user": f"{request['user']}:{request['password']}",
            "url": address,
            "request": method,
            "cacert": str(authority),
            "max-time": str(int(TIMEOUT)),
            "write-out": "\n%{http_code}",
        }
        lines = [f"{name} = {quoted(value)}" for name, value in given.items()]
        lines += [f"header = {quoted(header)}" for header in headers]
        if body:
            lines.append("data-binary = " + quoted(f"@{content}"))
        command = ["curl", "--silent", "--show-error", "--config", "-"]
        done = subprocess.run(command, input="\n".join(lines).encode(), capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace").strip() or f"curl ended with {done.returncode}")
    text, _, status = done.stdout.decode(errors="replace").rpartition("\n")
    return int(status), text


def quoted(value):
    """A value in a configuration of curl's."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'


def calendar_event(request):
    """Write an event, read it, remove it, and see that it is gone: the four statuses and the text read."""
    address = request["url"].rstrip("/") + "/" + urllib.parse.quote(request["name"])
    kind = "Content-Type: text/calendar; charset=utf-8"
    written, _ = curl(request, "PUT", address, kind, "If-None-Match: *", body=request["event"])
    read, text = curl(request, "GET", address)
    removed, _ = curl(request, "DELETE", address)
    gone, _ = curl(request, "GET", address)
    return {"written": written, "read": read, "removed": removed, "gone": gone, "text": text}


MBSYNC = """
IMAPStore far
Host {host}
Port {port}
User {user}
PassCmd "cat {secret}"
SSLType IMAPS
{authority}

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Expunge Near
Sync Pull
SyncState *
"""


CONNECTIONS = 3  # of a mail program to a server that says goodbye: it comes back, as every program does


def mail_program(request):
    """Let mbsync connect, with the cache that it has from before in the user's home.

    {"had": messages in the cache before, "has": after; "anew": downloaded though they were
    there; "came", "lost"; "doubled": there more often than before; "words": mbsync's own, when it failed}.
    """
    home = pathlib.Path.home() / ".cache" / "bascule-mail-program"
    mail, secret = home / "mail", home / "secret"
    mail.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = home / "authority.pem"
    authority.write_text(request.get("authority") or "", encoding="utf-8")
    before = cached(mail)
    secret.touch(mode=0o600)
    try:
        secret.write_text(request["password"], encoding="utf-8")
        names = {"mail": mail, "secret": secret}
        line = f"CertificateFile {authority}" if request.get("authority") else ""
        (home / "rc").write_text(MBSYNC.format(**{**request, **names, "authority": line}), encoding="utf-8")
        for connection in range(CONNECTIONS):
            time.sleep(connection)
            done = subprocess.run(["mbsync", "-q", "-c", str(home / "rc"), "-a"], capture_output=True, check=False)
            if b"BYE" not in done.stderr:
                break
    finally:
        secret.unlink()
    after = cached(mail)
    fresh = [name for name in after if name not in before]
    times_before, times_after = list(before.values()), list(after.values())
    return {
        "had": len(before),
        "has": len(after),
        "anew": sum(1 for name in fresh if after[name] in times_before),
        "came": len({after[name] for name in fresh} - set(times_before)),
        "lost": len(set(times_before) - set(times_after)),
        "doubled": sum(
            times_after.count(each) > max(1, times_before.count(each)) for each in {after[name] for name in fresh}
        ),
        "words": done.stderr.decode(errors="replace").strip() if done.returncode else "",
    }


def cached(mail):
    """What is in a program's Maildirs: the place of each message (without its flags) -> by what it is known.

    Not the messages of other functional tests, which remove them again.
    """
    found = {}
    for file in mail.rglob("*"):
        if file.parent.name in ("cur", "new") and file.is_file():
            header = file.read_bytes().partition(b"\r\n\r\n")[0].partition(b"\n\n")[0]
            if re.search(rb"^x-bascule-test:", header, re.IGNORECASE | re.MULTILINE):
                continue
            identity = re.search(rb"^message-id:\s*(\S+)", header, re.IGNORECASE | re.MULTILINE)
            found[f"{file.parent.parent}/{file.name.partition(':')[0]}"] = identity[1] if identity else header
    return found


def run(request):
    """Run the function that the request names: {"done": what it saw}, or {"failed": one sentence}."""
    try:
        return {"done": globals()[request["function"]](request)}
    except ssl.SSLCertVerificationError as error:
        return {
            "failed": f"the certificate is not valid for {request.get('host', 'this name')}: {error.verify_message}"
        }
    except (OSError, imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException, ValueError) as error:
        where = f"{request['host']}:{request['port']}" if "port" in request else request.get("url", "here")
        return {"failed": f"{where}: {reason(error)}"}


def reason(error):
    """Why, in the server's or the system's words."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {text_of(error.smtp_error)}"
    if isinstance(error, TimeoutError):
        return f"no answer in {TIMEOUT:.0f} s"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        return reason(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text_of(error.args[0]) if error.args else "the connection ended without an answer"


def text_of(words):
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)


def answer(request):
    """Print the answer as a Python literal in ASCII, whatever the host's locale is."""
    print(ascii(run(request)))
