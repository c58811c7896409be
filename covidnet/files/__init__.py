"""Bytes, whole or not at all."""
