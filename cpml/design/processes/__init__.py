"""What a shop can do to a texture, step by step, and which sequence of steps comes closest to a goal."""
