"""Messages of the shapes that 1,510 foreign ones taught: made here from a few rules, none of them anybody's mail."""

from collections.abc import Iterator

CRLF = b"\r\n"
ADDRESS = b"From: someone@obs.test\r\n"


def named(name: str, header: bytes = b"", body: bytes = b"x\r\n") -> bytes:
    """A usual header with a subject, more of it, and a body."""
    return ADDRESS + b"Subject: " + name.encode() + CRLF + header + CRLF + body


def nested(depth: int) -> bytes:
    """multipart/mixed in multipart/mixed, so many times."""
    parts, inner = b"", b"Content-Type: text/plain\r\n\r\ndeep\r\n"
    for level in range(depth):
        edge = b"b%d" % level
        parts = b"Content-Type: multipart/mixed; boundary=" + edge + CRLF
        inner = parts + CRLF + b"--" + edge + CRLF + inner + b"--" + edge + b"--\r\n"
    return inner


def odd_messages() -> Iterator[tuple[str, bytes]]:
    """(name, octets). None of them is empty, and no two are alike."""
    yield "no header", b"\r\njust a body\r\n"
    yield "no body", ADDRESS + b"Subject: no body\r\n\r\n"
    yield "no end of header", ADDRESS + b"Subject: no end of header\r\n"
    yield "no line end at the end", named("no line end", body=b"cut")
    yield "only line ends", CRLF * 7
    yield "one octet", b"x"
    yield "header only of one colon", b":\r\n\r\nx\r\n"
    yield "mbox line first", b"From someone@obs.test Mon Feb  9 10:00:00 2026\r\n" + named("mbox")
    yield "eight-bit header", named("eight-bit", b"To: Andr\xe9 <a@obs.test>\r\nX-Raw: \xff\xfe\x80\r\n")
    yield "UTF-8 header", named("utf-8", "To: Émile \N{PILE OF POO} <e@obs.test>\r\n".encode())
    yield "encoded words that are wrong", named("words", b"X-A: =?utf-8?q?=ZZ?= =?x-none?b?////?= =?utf-8?b?\r\n")
    yield "folded with tabs and blanks", named("folded", b"X-Long: a\r\n\t b\r\n  \t\r\n c\r\n")
    yield "a header line of 60 kB", named("long header", b"X-Long: " + b"y" * 60_000 + CRLF)
    yield "2,000 header fields", named("many", b"".join(b"X-%d: v\r\n" % i for i in range(2000)))
    yield (
        "the same field many times",
        named("twice", b"Message-Id: <a@x>\r\nMessage-Id: <b@x>\r\nFrom: other@obs.test\r\n"),
    )
    yield "a body line of 200 kB", named("long line", body=b"z" * 200_000 + CRLF)
    yield "8-bit body", named("8-bit", b"Content-Transfer-Encoding: 8bit\r\n", bytes(range(128, 256)) * 30 + CRLF)
    yield "control characters", named("control", body=bytes(set(range(1, 32)) - {10, 13}) + CRLF)
    yield "NUL", named("NUL", body=b"one\0two\r\n")
    yield "NUL in the header", named("NUL above", b"X-Nul: a\0b\r\n")
    yield "bare line feeds", named("bare LF", body=b"one\ntwo\n\nthree\r\n")
    yield "bare carriage returns", named("bare CR", body=b"one\rtwo\r\r\nthree\r\n")
    yield "no carriage return at all", named("LF only").replace(CRLF, b"\n")
    yield "dots and IMAP", named("looks like IMAP", body=b".\r\n..\r\n) {5+}\r\n* BYE\r\nz1 LOGOUT\r\n{3}\r\n")
    yield "dates that are none", named("dates", b"Date: yesterday\r\nDate: Thu, 31 Feb 1850 25:61:00 +9999\r\n")
    yield "nested 40 deep", ADDRESS + b"Subject: nested\r\nMIME-Version: 1.0\r\n" + nested(40)
    yield "MIME that does not end", named("open", b"Content-Type: multipart/mixed; boundary=x\r\n", b"--x\r\n\r\na\r\n")
    yield "MIME without a boundary", named("none", b"Content-Type: multipart/mixed\r\n", b"--\r\n\r\na\r\n----\r\n")
    yield "a message in a message", named("rfc822", b"Content-Type: message/rfc822\r\n", named("inner", b"X: y\r\n"))
    yield "base64 that is none", named("b64", b"Content-Transfer-Encoding: base64\r\n", b"====\r\n!!!!\r\n")
    yield "1 MB", named("large", body=(b"m" * 76 + CRLF) * 13_500)
    for size in (1, 2, 1023, 4095, 4096, 4097, 65_535):
        yield f"a body of {size}", named(f"size {size}", body=b"s" * size)
