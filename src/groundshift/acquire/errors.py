"""What can go wrong between here and a service."""

from groundshift.errors import GroundshiftError

__all__ = ["ClientsMissingError", "CredentialsError", "CreditsError", "ServiceError"]


class ClientsMissingError(GroundshiftError, ImportError):
    """The clients of the services are not installed."""


class CredentialsError(GroundshiftError, PermissionError):
    """There are no credentials, or a service refuses them."""


class CreditsError(GroundshiftError, ValueError):
    """An order costs more credits than are left."""


class ServiceError(GroundshiftError, ConnectionError):
    """A service does not answer, refuses, or answers what cannot be used."""
