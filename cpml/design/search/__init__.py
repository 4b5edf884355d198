"""How textures are found: linear programmes with proofs, then the gradients of the polycrystal."""
