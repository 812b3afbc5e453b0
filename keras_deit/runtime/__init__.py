"""What the package needs of the machine and of its environment; it knows nothing of models or images."""
