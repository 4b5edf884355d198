"""Points changed on request, every change counted."""
