"""A trained model in use: its predictions, its export, its page."""
