"""Text of unknown origin, made fit to be shown to people."""

# Control, direction and invisible characters: they hide what a name really is.
UNSHOWABLE = {
    code: f"\\u{code:04x}"
    for code in (
        *range(32),
        127,
        *range(0x80, 0xA0),
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
        0xFEFF,
    )
}


def harmless(text: str) -> str:
    """The text with control, direction and invisible characters made visible."""
    return text.translate(UNSHOWABLE)
