"""One file -> pixels."""
