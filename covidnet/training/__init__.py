"""Data and model -> one run."""
