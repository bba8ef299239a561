"""The one error that a user can mend: its message names what was found, where, and what would do."""


class UserError(Exception):
    """Bad input or an impossible request: printed as one line, without a traceback, with exit code 2."""


class StorageError(UserError):
    """A file could not be written, for want of room or of rights: no trial is to blame, and what is there is whole."""
