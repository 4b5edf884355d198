"""How strengths and back stresses of systems change with slip."""
