"""The client's mail: logins by IMAP and POP3, messages sent, looked for and removed again. Sent with `client`."""

import poplib
import re
import smtplib
import time

from bascule.remote.client_connection import TIMEOUT, open_imap, trust


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
