"""Crystal plasticity: single crystals with implicit gradients, exact Taylor factors, mean fields (imports torch)."""

