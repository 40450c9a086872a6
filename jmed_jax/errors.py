"""The one exception that means "the input is wrong", as against a failure of ours."""


class InputError(ValueError):
    """Bad input or usage. The message is one line that says where, what was expected and what to do.

    The command line prints it as `error: …` without a traceback and exits with 2. Any other exception is a failure of
    ours: traceback and exit 1.
    """

    def __init__(self, message: str) -> None:
        # Pieces of files in it may bring line breaks along.
        super().__init__(" ".join(message.splitlines()))
