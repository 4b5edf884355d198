"""Designs judged by what they were not made with: other routes, full fields, strengths at random."""
