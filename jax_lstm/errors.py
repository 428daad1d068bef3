"""The errors that a user can mend."""


class UserError(Exception):
    """What was given cannot be used; the message says what was expected, what came, and what to do."""
