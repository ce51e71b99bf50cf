"""What runs on the new server to give the messages of one INBOX their UIDLs: sent to `python3 -` there.

Only what Debian's python3-minimal has. Dovecot's sdbox keeps a message's UIDL as the line `P...` of the metadata behind
the message (dbox-file.h), and looks at it when two headers of the folder's index say that there are some: `dbox-hdr`,
and `hdr-pop3-uidl` with the highest UID that has one. Those headers are set by records at the end of its log, as
Dovecot itself writes them when dsync brings a message with a UIDL (mail-transaction-log.h). Nobody may use the mailbox
meanwhile.
"""

import fcntl
import os
import struct

METADATA = b"\n\x01\x03\n"  # before the metadata, behind the message
TAIL = 65536  # bytes; metadata is much shorter
INTRO, HEADER_UPDATE, EXTERNAL = 0x40, 0x100, 0x10000000
NO_SHRINK = 1
LOG_MAJOR = 1
SDBOX_FLAGS, HAVE_UIDLS = 20, 1  # where the flags are in sdbox's header of 24 bytes, and the flag


def mark(path, uidl):
    """Write the UIDL into a message's file, atomically. False when it stands there; raises ValueError."""
    with open(path, "rb") as file:
        state = os.fstat(file.fileno())
        file.seek(max(0, state.st_size - TAIL))
        tail = file.read()
        begin = tail.rfind(METADATA)
        lines = tail[begin + len(METADATA) :].split(b"\n")
        if begin < 0 or lines[-2:] != [b"", b""] or not all(line[:1].isupper() for line in lines[:-2]):
            raise ValueError("this is no sdbox file as Dovecot writes it")
        present = [line[1:].decode() for line in lines if line.startswith(b"P")]
        if present:
            if present != [uidl]:
                raise ValueError(f"it has the UIDL {present[0]} already")
            return False
        temporary = os.path.join(os.path.dirname(path), ".bascule-uidl")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        copy = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(copy, "wb") as target:
            file.seek(0)
            left = state.st_size - 1  # all but the empty line at the end
            while left:
                block = file.read(min(left, 1 << 20))
                target.write(block)
                left -= len(block)
            target.write(b"P" + uidl.encode() + b"\n\n")
            target.flush()
            os.fchmod(copy, state.st_mode & 0o7777)
            os.fchown(copy, -1, state.st_gid)
            os.fsync(copy)
    os.utime(temporary, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.rename(temporary, path)
    return True


def log_size(count):
    """A record's size as the log has it: seven bits in each byte, the high bit set (mail-index-util.c)."""
    count >>= 2
    return bytes(0x80 | (count >> shift & 0x7F) for shift in (21, 14, 7, 0))


def record(kind, body):
    body += b"\0" * (-len(body) % 4)
    return log_size(8 + len(body)) + struct.pack("<I", kind | EXTERNAL) + body


def set_header(name, size, offset, value):
    """The two records that set a part of an extension's header in the index."""
    intro = struct.pack("<IIIHHHH", 0xFFFFFFFF, 0, size, 0, 0, NO_SHRINK, len(name)) + name
    return record(INTRO, intro) + record(HEADER_UPDATE, struct.pack("<HH", offset, len(value)) + value)


def tell_index(directory, highest):
    """Say in the folder's index that messages up to this UID may have a UIDL."""
    path = os.path.join(directory, "dovecot.index.log")
    with open(path, "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        major, _, _, index = struct.unpack("<BBHI", file.read(8))
        if major != LOG_MAJOR or index == 0:
            raise ValueError(f"{path} is of another version, or broken")
        file.seek(0, os.SEEK_END)
        file.write(
            set_header(b"dbox-hdr", 24, SDBOX_FLAGS, bytes([HAVE_UIDLS, 0, 0, 0]))
            + set_header(b"hdr-pop3-uidl", 4, 0, struct.pack("<I", highest))
        )
        file.flush()
        os.fsync(file.fileno())


def run(request):
    """Give the messages their UIDLs: {"done": how many were new, and what went wrong by UID}, or {"failed": why}."""
    try:
        return {"done": give(request)}
    except OSError as error:
        return {"failed": f"{error.filename or request['directory']}: {error.strerror}"}
    except (ValueError, struct.error) as error:
        return {"failed": f"{request['directory']}: {error}"}


def give(request):
    directory = request["directory"]
    owner = os.stat(directory)
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)  # users may own these directories: no link of theirs is ever followed as root
    written, failed = 0, {}
    for uid, uidl in request["uidls"].items():
        try:
            written += mark(os.path.join(directory, f"u.{int(uid)}"), uidl)
        except (OSError, ValueError) as error:
            failed[uid] = str(error)
    if request["uidls"]:
        tell_index(directory, max(int(uid) for uid in request["uidls"]))
    return {"written": written, "failed": failed}


def answer(request):
    """Print the answer as a Python literal: a small server's Python knows no JSON."""
    print(ascii(run(request)))
