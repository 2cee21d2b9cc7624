"""Keywords: those of an authors' constructor, each of which must be used."""

from __future__ import annotations

from collections.abc import Mapping

from models.lookup import suggest


class OfficialMismatch(ValueError):
    """A checkpoint or keyword that does not fit: lists what is missing, unexpected or misshapen."""


class Keywords:
    """Constructor keywords that must all be used: taken once each, the rest is an error."""

    def __init__(self, arch: str, given: Mapping[str, object]) -> None:
        self.arch, self.rest, self.known = arch, dict(given), set()

    def take(self, name: str, default: object = None) -> object:
        """Return the keyword's value, or its default; without a default it must be given."""
        self.known.add(name)
        if name not in self.rest and default is None:
            raise OfficialMismatch(f"{self.arch} needs the keyword {name!r}.")
        return self.rest.pop(name, default)

    def fix(self, **allowed: object) -> None:
        """Refuse keywords that are given with another than the one value that all published networks use."""
        for name, value in allowed.items():
            given = self.take(name, value)
            if given != value:
                raise OfficialMismatch(f"{self.arch}({name}={given!r}) is not a published network; only {name}={value!r} is supported.")

    def ignore(self, *names: str) -> None:
        """Take keywords that the authors' constructors accept and that do not change the network."""
        for name in names:
            self.known.add(name)
            self.rest.pop(name, None)

    def finish(self) -> None:
        """Refuse keywords that nobody took."""
        if self.rest:
            unknown = ", ".join(f"{name!r}" for name in sorted(self.rest))
            raise OfficialMismatch(f"{self.arch} has no keyword {unknown}.{suggest(next(iter(self.rest)), self.known)}")
