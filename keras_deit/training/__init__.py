"""A run: settings, strategy, optimiser, checkpoint and the run itself."""
