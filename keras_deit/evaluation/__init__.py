"""Evaluating a classifier on labelled images: accuracies, the figures of each class, and the mistakes."""
