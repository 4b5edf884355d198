"""Twin relations between fragments, families of parent and twins, and the evidence for them."""
