"""What heat does: glide over obstacles, climb, cross-slip."""
