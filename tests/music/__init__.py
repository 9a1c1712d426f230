"""How often beats, bars and key of real songs are right, read from their files as a DAW does."""
