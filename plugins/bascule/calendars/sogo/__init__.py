"""SOGo's own ways besides WebDAV: `sogo-tool`, and preferences of its users."""
