"""Verification: what both servers hold, compared by identity."""
