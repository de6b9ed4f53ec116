"""The compiled core alone: no machine, no message, no I/O."""
