"""POP3: who uses it, and the identifiers (UIDLs, RFC 1939 section 7) by which programs know what they have fetched.

A program that leaves mail on the server fetches everything once more when the UIDLs change. Where new is a Dovecot that
keeps a file for each message (sdbox), they are carried: what a message of INBOX is called on old, it is called on new.
"""
