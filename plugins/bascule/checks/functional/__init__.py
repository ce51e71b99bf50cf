"""Functional tests: what a user does on the morning after, done from a user's place."""
