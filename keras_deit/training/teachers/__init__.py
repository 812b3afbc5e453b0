"""The teacher of a run: loading it, training a small one, and storing its outputs."""
