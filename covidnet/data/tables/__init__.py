"""Tables of whatever make, and what they say of images."""
