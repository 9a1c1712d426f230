"""The built programs, each run by itself."""
