def die_with_parent(number: int) -> None:
    """Have this signal sent to the calling process when its parent dies: on Linux; elsewhere nothing happens.

    Raises
    ------
    OSError
        The number is no signal.
    """
