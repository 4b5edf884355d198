"""Virtual dislocation lines, the pictures that show them, and what was recorded of them."""
