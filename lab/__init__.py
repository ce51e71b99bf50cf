"""The practice site: real Debian hosts on one machine, in network namespaces of their own."""
