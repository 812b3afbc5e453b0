"""The findings of the DeiT paper, measured with small models on small datasets: `scripts/reproduce.py`."""
