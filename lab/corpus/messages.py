"""Messages as an observatory's people have kept them for twenty years: good ones, old ones, odd ones.

Written by hand instead of by the `email` package: it is fifty times faster, and half of the shapes are such that the
package would mend them. Every line ends with CRLF and none holds a NUL, so that IMAP's APPEND stores it unchanged.
"""

import base64
import quopri
import random
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime

from lab.facts import DOMAIN

CORRESPONDENTS = (
    ("Hélène Brûlé", "helene.brule@outside.test"),
    ("Prof. Jürgen Köhler", "koehler@institut.outside.test"),
    ("Siân O'Neill", "sian.oneill@outside.test"),
    ("Secrétariat de l'École doctorale", "ecole-doctorale@univ.outside.test"),
    ("liste astro-fr", "astro-fr@listes.outside.test"),
    ("Éditions du Zénith", "commandes@zenith.outside.test"),
    ("田中 宏", "tanaka@kyoto.outside.test"),
    ("Service informatique", f"direction@{DOMAIN}"),
)
SUBJECTS = (
    "Réunion du laboratoire jeudi à 14 h",
    "Compte rendu de la séance du conseil",
    "Facture n° {n} : télescope de 80 cm",
    "Re: observations de l'été",
    "Thèse de Zoé : version du chapitre {n}",
    "[astro-fr] Colloque « Étoiles doubles »",
    "Fwd: congés et déplacements",
    "Observing run {n}: weather report",
    "Données brutes, nuit {n}",
    "Rappel : cotisation à régler avant le 30",
)
SENTENCES = (
    "Merci de bien vouloir trouver ci-joint le compte rendu de la réunion.",
    "Le ciel était dégagé jusqu'à trois heures du matin ; la coupole a gelé ensuite.",
    "Peux-tu relire le deuxième paragraphe avant vendredi ?",
    "La facture a été réglée, mais le bon de commande manque toujours.",
    "L'élève a très bien présenté ses résultats, malgré les 38 °C de la salle.",
    "The new detector will be shipped next week; customs need the pro forma invoice.",
    "Nous avons reçu quarante candidatures, dont huit de l'étranger.",
    "À bientôt, et bon courage pour la rédaction.",
    "Il reste 1 250 € sur la ligne « missions ».",
    "La prochaine nuit favorable est celle du 12 août.",
)


def message(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    """One message to `owner` (name, address). `serial` makes its Message-Id unique."""
    shape = rng.choices(SHAPES, WEIGHTS)[0]
    return shape(rng, owner, sent, serial)


def with_attachment(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str, size: int) -> bytes:
    """A message that carries a file of `size` bytes."""
    boundary = f"=_{serial}"
    content = base64.encodebytes(rng.randbytes(size)).replace(b"\n", b"\r\n")
    name = rng.choice(("données.fits", "Thèse (définitive).pdf", "carte du ciel.png"))
    head = _head(rng, owner, sent, serial, [("Content-Type", f'multipart/mixed; boundary="{boundary}"')])
    text = _text(rng, 2)
    return b"".join(
        (
            head,
            f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n".encode(),
            f"Content-Transfer-Encoding: 8bit\r\n\r\n{text}".encode(),
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n".encode(),
            f'Content-Disposition: attachment; filename="{encoded_word(name)}"\r\n\r\n'.encode(),
            content,
            f"--{boundary}--\r\n".encode(),
        )
    )


def same_identifier(original: bytes) -> bytes:
    """Another mail under the same Message-Id, as some mail robots send them."""
    return original + b"-- \r\nThe same Message-Id, another mail: two lines more.\r\n\r\n"


def encoded_word(text: str) -> str:
    """Text for a header (RFC 2047): as it is when ASCII, else in base64 words of at most 75 characters."""
    if text.isascii():
        return text
    words, chunk = [], ""
    for letter in text:
        if len((chunk + letter).encode()) > 42:
            words.append(chunk)
            chunk = ""
        chunk += letter
    words.append(chunk)
    return "\r\n ".join(f"=?UTF-8?B?{base64.b64encode(word.encode()).decode()}?=" for word in words)


def _head(
    rng: random.Random,
    owner: tuple[str, str],
    sent: datetime,
    serial: str,
    more: list[tuple[str, str]],
    identified: bool = True,
) -> bytes:
    sender, address = rng.choice(CORRESPONDENTS)
    fields = [
        ("Return-Path", f"<{address}>"),
        ("Received", f"from relay.outside.test by mx.{DOMAIN} with ESMTP id {serial};\r\n\t{format_datetime(sent)}"),
        ("Date", format_datetime(sent)),
        ("From", f"{_phrase(sender)} <{address}>"),
        ("To", f"{_phrase(owner[0])} <{owner[1]}>"),
        ("Subject", encoded_word(_subject(rng))),
        *([("Message-ID", f"<{serial}@outside.test>")] if identified else []),
        ("MIME-Version", "1.0"),
        *more,
    ]
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode() + b"\r\n"


def _phrase(name: str) -> str:
    """A name before an address: as an encoded word, or quoted where it has punctuation."""
    return encoded_word(name) if not name.isascii() else f'"{name}"'


def _subject(rng: random.Random) -> str:
    return rng.choice(SUBJECTS).replace("{n}", str(rng.randrange(1, 400)))


def _text(rng: random.Random, paragraphs: int) -> str:
    lines = ["Bonjour,", ""]
    for _ in range(paragraphs):
        lines += [*rng.choices(SENTENCES, k=rng.randrange(2, 7)), ""]
    lines += ["Cordialement,", "-- ", rng.choice(CORRESPONDENTS)[0]]
    return "\r\n".join(lines) + "\r\n"


def _plain(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    more = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", "8bit")]
    return _head(rng, owner, sent, serial, more) + _text(rng, rng.randrange(1, 12)).encode()


def _latin(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    more = [
        ("Content-Type", "text/plain; charset=iso-8859-15; format=flowed"),
        ("Content-Transfer-Encoding", "quoted-printable"),
        ("X-Mailer", "Eudora 5.1"),
    ]
    text = _text(rng, rng.randrange(1, 5)).encode("iso-8859-15", errors="replace")
    body = quopri.encodestring(text.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return _head(rng, owner, sent, serial, more) + body


def _alternative(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    boundary = f"alt-{serial}"
    text = _text(rng, rng.randrange(1, 4))
    html = "<html><body>" + "".join(f"<p>{line}</p>\r\n" for line in text.splitlines() if line) + "</body></html>\r\n"
    head = _head(rng, owner, sent, serial, [("Content-Type", f'multipart/alternative;\r\n boundary="{boundary}"')])
    parts = [
        f"--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{content}\r\n"
        for kind, content in (("plain", text), ("html", html))
    ]
    return head + ("".join(parts) + f"--{boundary}--\r\n").encode()


def _small_attachment(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    return with_attachment(rng, owner, sent, serial, rng.randrange(5_000, 60_000))


def _eight_bit_head(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    """Latin-1 and UTF-8 bytes in header fields, as programs of the nineties wrote them."""
    head = [
        b"Date: " + format_datetime(sent).encode(),
        "From: Secrétariat <secretariat@outside.test>".encode("latin-1"),
        f"To: {owner[0]} <{owner[1]}>".encode(),
        "Subject: Été 2004 : congés payés".encode("latin-1"),
        f"Message-Id: <8bit.{serial}@outside.test>".encode(),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + _text(rng, 1).encode("latin-1", errors="replace")


def _no_identifier(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    more = [("Content-Type", "text/plain; charset=us-ascii"), ("X-Serial", serial)]
    return _head(rng, owner, sent, serial, more, identified=False) + b"Backup of /home finished without errors.\r\n"


def _long_head(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    """A thread of years: hundreds of References, folded and not folded."""
    references = [f"<{rng.getrandbits(64):x}.{number}@listes.outside.test>" for number in range(rng.randrange(50, 300))]
    more = [
        ("References", "\r\n ".join(references)),
        ("X-Spam-Report", " ".join(f"RULE_{number}=0.1" for number in range(150))),
        ("List-Id", "<astro-fr.listes.outside.test>"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit"),
    ]
    return _head(rng, owner, sent, serial, more) + _text(rng, 1).encode()


def _odd_body(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    """Lines that careless programs mistake for something else, and a body that doesn't end its last line."""
    head = _head(rng, owner, sent, serial, [("Content-Type", "text/plain")])
    return (
        head
        + b"From here on\r\n.\r\n..\r\n>From there\r\n)\r\nA1 OK done\r\n\x0c\t\x7f\r\n"
        + b"x" * 1500
        + b"\r\nno end"
    )


def _forwarded(rng: random.Random, owner: tuple[str, str], sent: datetime, serial: str) -> bytes:
    boundary = f"fwd-{serial}"
    inner = _plain(rng, owner, sent, f"inner.{serial}")
    head = _head(rng, owner, sent, serial, [("Content-Type", f"multipart/mixed; boundary={boundary}")])
    opening = f"--{boundary}\r\nContent-Type: message/rfc822\r\n\r\n".encode()
    return head + opening + inner + f"\r\n--{boundary}--\r\n".encode()


Shape = Callable[[random.Random, tuple[str, str], datetime, str], bytes]
SHAPES: tuple[Shape, ...] = (
    _plain,
    _latin,
    _alternative,
    _small_attachment,
    _eight_bit_head,
    _no_identifier,
    _long_head,
    _odd_body,
    _forwarded,
)
WEIGHTS = (40, 15, 18, 5, 6, 5, 4, 3, 4)
