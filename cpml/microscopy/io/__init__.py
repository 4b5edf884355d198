"""Files in and out: readers of every vendor's maps, writers, the project's own map file."""
