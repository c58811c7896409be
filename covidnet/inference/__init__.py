"""A checkpoint -> predictions."""
