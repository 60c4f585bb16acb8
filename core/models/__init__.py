"""Models: arrays of beats in, arrays out; each can be saved to a folder and loaded again."""
