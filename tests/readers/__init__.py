"""The files, as programs read them that are not ours."""
