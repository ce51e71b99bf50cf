"""Who else may see a collection: read on old, given on new."""
