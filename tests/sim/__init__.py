"""Whole clusters of machines over a fake network under a virtual clock, from a seed."""
