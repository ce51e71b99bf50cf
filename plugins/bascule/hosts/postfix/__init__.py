"""Postfix: its queues, and what its log says became of each message."""
