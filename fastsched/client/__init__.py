"""The client's room: what a program holds in its hands.

Two floors. `machine` is pure: commands and messages go in, messages and settled futures come out. `session` owns the
channel, and carries out what user threads want. `future`, `client`, `waiting` are the face.
"""
