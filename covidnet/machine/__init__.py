"""What the machine gives and takes away."""
