"""What footprints teach beyond the law: boosted trees on what it says, behind a gate of held-out tiles."""
