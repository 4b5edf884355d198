"""Flow rules; what hardens them, what heat does to them, what twins do, in rooms of their own."""
