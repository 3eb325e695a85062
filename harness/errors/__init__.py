"""What may go wrong: in words for the user, as a status for the record."""

from harness.errors.status import Status
from harness.errors.user import Unavailable, UserError, describe
from harness.errors.words import guess, nearest, unknown_name

__all__ = ["Status", "Unavailable", "UserError", "describe", "guess", "nearest", "unknown_name"]
