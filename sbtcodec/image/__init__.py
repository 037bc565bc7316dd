"""Pixels: reading and writing image files, padding and strips."""
