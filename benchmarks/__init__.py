"""Measurements that are run by hand; their results are kept beside them."""
