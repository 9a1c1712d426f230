"""Programs from Debian play the files, or read them strictly: `make test-oracles`."""
