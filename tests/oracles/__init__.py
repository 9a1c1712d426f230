"""Programs from Debian play the files, read them strictly, or write them as scores: `make test-oracles`."""
