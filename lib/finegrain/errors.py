"""The one error that users meet: what they gave, why it cannot be used, and what to do."""


class InputError(ValueError):
    """Bad input, told in one sentence that names the culprit and the mend.

    The command line prints the sentence alone and exits with status 2; in a notebook it is the last line
    of the traceback.
    """
