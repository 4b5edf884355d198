"""Images and fields laid over a map."""
