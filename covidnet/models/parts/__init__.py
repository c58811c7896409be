"""What networks and their training are made of."""
