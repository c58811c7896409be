"""Numbers of a run -> one HTML file."""
