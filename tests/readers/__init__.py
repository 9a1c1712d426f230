"""Other programs read the files, and documents are checked against their schema."""
