"""The work on one folder, phase by phase: what has changed, what is to be copied, the copy, its end."""
