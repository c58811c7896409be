"""Odd files and requests of all kinds: none ends in anything but success or a message.

python -m bench.fuzz --cases 10000 --seed 0

A file here is a kind of case: what is drawn, and what is done with it. ``targets.py`` lists them.
"""
