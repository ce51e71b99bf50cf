"""Filters: read losslessly, converted by rules, checked on the new server and on the account's own mail, put."""
