"""Programs that are sent to other hosts and run there: standard library only, no import of this package."""
