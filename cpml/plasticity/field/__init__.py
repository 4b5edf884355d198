"""The full field: the law solved on a map or a volume."""
