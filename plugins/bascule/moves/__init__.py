"""Moves: one account goes from old to new, or back, on its own, while everybody works."""
