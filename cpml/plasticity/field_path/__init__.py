"""The full field over strain: stages of loading, engines with and without elasticity, record, files."""
