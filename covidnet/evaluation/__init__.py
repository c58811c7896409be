"""Pure functions: arrays -> numbers."""
