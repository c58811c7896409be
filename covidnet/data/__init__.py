"""Folders of radiographs on disk -> batches."""
