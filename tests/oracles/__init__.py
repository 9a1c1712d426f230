"""Programs from Debian that play or strictly read the files: `make test-oracles`."""
