"""The client's room: what a program holds in its hands.

Two floors. `machine` is pure: commands and messages go in, messages and settled futures come out. `session` owns the
channel and the inbox that carries commands from user threads to the I/O thread. `future`, `client`, `waiting` are the
face.
"""
