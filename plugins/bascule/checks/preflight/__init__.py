"""Preflight: whether everything that the day will need is there, said days before."""
