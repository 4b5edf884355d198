"""Flow rules and how they harden: glide, climb, cross-slip, twinning."""
