"""Who goes where: training, validation or test."""
