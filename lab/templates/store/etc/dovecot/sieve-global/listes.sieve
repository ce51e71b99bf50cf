require "fileinto";
# For everybody, by `include :global "listes"`. What it files into has each server's own form of names.
if header :contains "List-Id" "annonces.{{ domain }}" {
    fileinto "{% if host.name == "old" %}INBOX.{% endif %}À lire";
}
