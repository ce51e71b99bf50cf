"""What folders have besides messages: access rights (RFC 4314) and annotations (RFC 5464)."""
