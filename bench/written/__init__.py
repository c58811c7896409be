"""Image files of known pixels, written byte by byte: what a reader makes of a kind is compared with what was written.

A file here is a format; `kinds.py` lists what is written in each.
"""
