"""ECCI: electron channelling contrast of single dislocations, and what it says of their Burgers vectors."""
