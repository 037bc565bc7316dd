"""The trainer that makes the weights."""
