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


def base_dir():
    """Where Dovecot has its sockets."""
    done = subprocess.run(["doveconf", "-h", "base_dir"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.returncode, done.stderr.strip() or "no word", "doveconf")
    return done.stdout.strip()


def open_socket(request):
    path = os.path.join(request["base_dir"] or base_dir(), SOCKET)
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
    """Say that the socket is open, {"done": {}}, or why it is not, {"failed": one sentence}; then pass on.

    A socket at which nobody listens is Dovecot's while it starts again: {"later": one sentence}.
    """
    try:
        server = open_socket(request)
    except OSError as error:
        outcome = "later" if error.errno == errno.ECONNREFUSED else "failed"
        print(ascii({outcome: f"{error.filename}: {error.strerror}"}), flush=True)
        return
    print(ascii({"done": {}}), flush=True)
    pass_on(server)
