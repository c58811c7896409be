"""A run directory: claimed, written, read, sent."""
