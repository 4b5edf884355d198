"""Whether a fitted model may be believed: missing families, other loads and frames, counts, information."""
