"""What the models see of one specimen."""
