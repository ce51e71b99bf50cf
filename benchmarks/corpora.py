"""The mailboxes that are measured, written straight into a Maildir: *small* and *big*, from a seed."""

import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Corpus:
    """How much mail: `large` messages have 5 to 20 MB each."""

    name: str
    folders: int
    messages: int
    megabytes: int
    large: int = 0


SMALL = Corpus("small", folders=8, messages=2_000, megabytes=22)
BIG = Corpus("big", folders=30, messages=20_000, megabytes=392, large=10)

FLAGS = ["", "S", "S", "S", "RS", "FS", "FRS"]


def write_maildir(corpus: Corpus, maildir: Path, seed: int = 1) -> None:
    """Make the corpus' folders in Maildir++ form."""
    chance = random.Random(seed)
    large = [chance.randrange(5_000_000, 20_000_000) for _ in range(corpus.large)]
    mean = (corpus.megabytes * 1_000_000 - sum(large)) / (corpus.messages - corpus.large)
    pool = "".join(chance.choice("abcdefghij klmnopq rstuv wxyz") for _ in range(200_000))
    folders = [maildir] + [maildir / f".Folder{number:02d}" for number in range(1, corpus.folders)]
    for folder in folders:
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        if folder is not maildir:
            (folder / "maildirfolder").touch()
    for number in range(corpus.messages):
        size = large[number] if number < corpus.large else int(min(200_000, chance.expovariate(1 / mean)) + 300)
        text = _message(number, size, pool, chance)
        name = f"{1_500_000_000 + number * 997}.M{number}P1.bench,S={len(text)},W={len(text)}:2,{chance.choice(FLAGS)}"
        (folders[number % corpus.folders] / "cur" / name).write_bytes(text)


def _message(number: int, size: int, pool: str, chance: random.Random) -> bytes:
    head = (
        f"Return-Path: <sender{number % 97}@obs.test>\r\nReceived: from mx.obs.test by old.obs.test; "
        f"Tue, 12 Mar 2024 10:00:{number % 60:02d} +0100\r\n"
        f"From: Sender {number % 97} <sender{number % 97}@obs.test>\r\n"
        f"To: someone@obs.test\r\nSubject: Message number {number}\r\nMessage-ID: <{number}.{size}@obs.test>\r\n"
        f"Date: Tue, 12 Mar 2024 10:00:{number % 60:02d} +0100\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    lines = []
    left = size - len(head)
    while left > 0:
        at = chance.randrange(len(pool) - 80)
        lines.append(pool[at : at + 76])
        left -= 78
    return (head + "\r\n".join(lines) + "\r\n").encode()
