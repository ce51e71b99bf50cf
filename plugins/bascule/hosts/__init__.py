"""How the rooms reach the hosts: connections with their secrets, SSH, the directory, Postfix."""
