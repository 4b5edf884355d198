"""Mean fields of a polycrystal: Sachs, Taylor, self-consistent; their gradients."""
