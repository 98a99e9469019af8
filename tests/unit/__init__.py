"""One module at a time, without network and without sleeping."""
