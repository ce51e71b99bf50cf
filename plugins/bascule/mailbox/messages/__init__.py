"""The messages of one folder: listed, compared with what is remembered, copied, changed, refused."""
