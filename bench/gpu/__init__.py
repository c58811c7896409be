"""What only a GPU can show: that captured steps are eager ones, that what is published agrees, and how fast it is."""
