"""The machinery of `gate.py`: pieces of work, and two ways to measure them that hold on any machine."""
