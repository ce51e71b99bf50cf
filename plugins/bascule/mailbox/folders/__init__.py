"""Which folder of old becomes which folder of new, and what became of those that were carried before."""
