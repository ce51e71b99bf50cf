"""Text of unknown origin, made fit to be shown to people."""

# Control, direction and invisible characters: they hide what a name really is.
UNSHOWABLE = {
    code: f"\\u{code:04x}"
    for code in (
        *range(32),
        127,
        *range(0x80, 0xA0),
        0xAD,
        0x61C,
        0x180E,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xD800, 0xE000),
        0xFEFF,
        *range(0xFFF9, 0xFFFC),
        *range(0xE0000, 0xE0080),
    )
}


def harmless(text: str) -> str:
    """The text with control, direction and invisible characters made visible."""
    return text.translate(UNSHOWABLE)


def storable(text: str) -> str:
    """The text with what no database and no UTF-8 file takes (NUL, lone surrogates) written out."""
    return text.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode()
