"""Which samples make up which batch, and what computes them."""
