"""What a pass gives back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PassResult:
    """What one pass found and did. `messages`: of the whole mailbox on old; `bytes`: copied in this pass."""

    account: str
    folders: int
    messages: int
    bytes: int
    copied: int
    flags_changed: int
    removed: int
    problems: int
    verified: int
    seconds: float
    dry_run: bool = False
    failed: str = ""  # why no pass could be made at all
