"""The machinery of `growth.py`: points in fresh processes, tables and a plot of them."""
