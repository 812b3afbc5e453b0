"""The report of a run: curves, mistakes, attention and settings on one page."""
