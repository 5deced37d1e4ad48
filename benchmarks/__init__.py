"""Measurements; each prints one table and compares with a baseline in the same run."""
