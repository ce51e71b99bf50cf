"""The client's mail program, mbsync, with the cache that it has from before. Sent with `client`."""

import pathlib
import re
import subprocess
import time

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
