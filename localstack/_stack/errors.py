"""What can go wrong, in words for the person at the terminal."""


class StackError(Exception):
    """Something the person who ran the command has to know about. Its text says what to do."""
