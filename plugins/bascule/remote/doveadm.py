"""What runs on a Dovecot host for as long as commands are given to it: sent to its Python, standard library only.

Dovecot's doveadm service listens on a socket that only root can open, and takes one command after the other: each costs
a millisecond or two, where a process `doveadm` costs fifty. All that is done here is to open that socket and to pass
on what comes from either side.
"""

import errno
import os
import select
import socket
import subprocess

SOCKET = "doveadm-server"  # below Dovecot's base_dir


def started(base_dir, *words):
    """A command of Dovecot's, by the configuration that is in use: it is linked where the sockets are."""
    configuration = ["-c", os.path.join(base_dir, "dovecot.conf")] if base_dir else []
    command = [words[0], *configuration, *words[1:]]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def settings(base_dir, user):
    """Where Dovecot has its sockets, and what it says of the plugins of IMAP: for all, and for this user.

    The latter is None where it can't be told. `base_dir`: where it has its sockets, if that is known.
    """
    for_all = started(base_dir, "doveconf", "-h", "-f", "service=imap", "base_dir", "mail_plugins")
    for_user = started(base_dir, "doveadm", "user", "-x", "service=imap", user)
    told, complaint = for_all.communicate()
    of_user = for_user.communicate()[0]
    if for_all.returncode and not base_dir:
        raise OSError(for_all.returncode, complaint.strip() or "no word", "doveconf")
    if for_all.returncode or for_user.returncode:
        return base_dir or told.partition("\n")[0].strip(), None
    sockets, _, plugins = told.partition("\n")
    own = [line for line in of_user.splitlines() if "mail_plugins" in line]
    return base_dir or sockets.strip(), "\n".join([plugins, *own])


def open_socket(base_dir):
    path = os.path.join(base_dir, SOCKET)
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    return server


def pass_on(server):
    """Until either side ends."""
    while True:
        ready = select.select([0, server], [], [])[0]
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return
            server.sendall(data)
        if server in ready:
            data = server.recv(65536)
            if not data:
                return
            while data:
                data = data[os.write(1, data) :]


def serve(request):
    """Say that the socket is open, {"done": what `settings` tells}, or why it is not, {"failed": a sentence}; pass on.

    A socket at which nobody listens is Dovecot's while it starts again: {"later": a sentence}. Settings are not asked
    for, which takes two processes, where the request has no "user".
    """
    try:
        base_dir, plugins = request["base_dir"], None
        if request["user"]:
            base_dir, plugins = settings(base_dir, request["user"])
        server = open_socket(base_dir)
    except OSError as error:
        outcome = "later" if error.errno == errno.ECONNREFUSED else "failed"
        print(ascii({outcome: f"{error.filename}: {error.strerror}"}), flush=True)
        return
    print(ascii({"done": {"base_dir": base_dir, "imap_plugins": plugins}}), flush=True)
    pass_on(server)
