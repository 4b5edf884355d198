"""ECCI: the stage, what was seen of dislocation lines, and what that says of their Burgers vectors."""
