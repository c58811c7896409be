"""The one exception that means: the user can mend this."""


class UserError(ValueError):
    """A user's mistake: what was found, where, what was expected and which key to change.

    The command line prints it as one short message and ends with exit code 2; anything else is our bug and keeps its
    traceback.
    """
