"""The report of a run: its first page, its chapters, its numbers, as one page for reading and printing."""
