"""What twins do: fractions, new lattices, volumes, nuclei."""
