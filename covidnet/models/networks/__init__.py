"""Architectures as plain modules, one a file.

``networks/<file>.py`` holds the network of ``covidnet.models.<file>.<Class>`` under the class's name in small letters.
By that a checkpoint finds it without Lightning.
"""
