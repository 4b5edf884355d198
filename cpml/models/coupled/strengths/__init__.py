"""What a fit says of strengths: their intervals, their course over a test, their scale."""
