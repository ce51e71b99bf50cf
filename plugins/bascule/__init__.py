"""Bascule: a whole organisation's mail service moved from an old server to a new one in one night."""
