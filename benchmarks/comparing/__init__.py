"""The machinery of `compare.py`: fresh processes in turn, ratios of what they say, tables of the ratios."""
