"""A simulated microscope: a solved specimen of the project's own law as the data set of a laboratory."""
