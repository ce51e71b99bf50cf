"""The protocol (RFC 3501, RFC 9051): connections, responses, commands. Knows no old and no new, and no ledger."""
