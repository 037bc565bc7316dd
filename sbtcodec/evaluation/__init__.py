"""Measuring: metrics, other codecs, curves and reports."""
