"""Entropy coding: integer networks, integer distributions, and the range coder."""
