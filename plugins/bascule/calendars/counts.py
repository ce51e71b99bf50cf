"""What a pass did, in numbers."""

from dataclasses import dataclass, fields


@dataclass
class Counts:
    """What one pass did, in items (but for `collections`)."""

    collections: int = 0
    items: int = 0
    copied: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    kept: int = 0  # changed or removed by the user on new, and left so
    problems: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)})
