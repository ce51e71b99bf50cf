"""Measuring a day apart from Bascule: numbered messages, the audit, the summary."""
