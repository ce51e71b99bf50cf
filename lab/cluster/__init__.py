"""The cluster's real files on a Docker machine of the practice site."""
