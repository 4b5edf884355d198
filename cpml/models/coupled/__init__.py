"""F = f_CP (*) f_ap: prior, likelihood, posterior, outputs, explanation."""
