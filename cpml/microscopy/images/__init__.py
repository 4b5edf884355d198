"""SEM images and the lines in them: ridges, line families, courses of single lines."""
