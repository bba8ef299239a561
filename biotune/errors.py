"""The one error that a user can mend: its message names what was found, where, and what would do."""


class UserError(Exception):
    """Bad input or an impossible request: printed as one line, without a traceback, with exit code 2."""


class StorageError(UserError):
    """A file could not be written, for want of room or of rights: no trial is to blame, and what is there is whole."""


class KernelError(UserError):
    """Kernels compute on a machine something else than they should, or can't be used there: no trial is to blame."""
