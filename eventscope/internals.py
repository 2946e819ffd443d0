"""Checks before use that a library still has the internals that we override, patch or read.

A library may change them in any version without notice. Where the change would go unnoticed (a patch that patches
nothing, an override that is never called), the program reports it and does not start.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from eventscope.errors import CannotStart


@dataclass(frozen=True, slots=True)
class Internals:
    """The internals of one library that we depend on."""

    distribution: str
    methods: Mapping[object, Mapping[str, str]] = field(default_factory=dict)
    """By class or module: the names of its functions, each with the names of its parameters except `self`."""
    attributes: Mapping[object, str] = field(default_factory=dict)
    """By class or module: the names of its other attributes, for a class also those that its methods set."""

    def fault(self) -> str | None:
        """A sentence that names everything missing or changed, and the library's version; None if all is there."""
        wrong = [
            f"{_name(owner)}.{name}({parameters.replace(' ', ', ')})"
            for owner, names in self.methods.items()
            for name, parameters in names.items()
            if _parameters(owner, name) != parameters.split()
        ] + [
            f"{_name(owner)}.{name}"
            for owner, names in self.attributes.items()
            for name in names.split()
            if not _has(owner, name)
        ]
        if not wrong:
            return None
        return (
            f"{self.distribution} {version(self.distribution)} lacks {', '.join(wrong)}, on which Eventscope depends; "
            "install the version in requirements/run.txt"
        )

    def demand(self) -> None:
        """Raise CannotStart if anything is missing or changed."""
        fault = self.fault()
        if fault is not None:
            raise CannotStart(fault)


def _name(owner: object) -> str:
    return str(getattr(owner, "__qualname__", None) or getattr(owner, "__name__", owner))


def _parameters(owner: object, name: str) -> list[str] | None:
    found = getattr(owner, name, None)
    if not callable(found):
        return None
    return [parameter for parameter in inspect.signature(found).parameters if parameter != "self"]


def _has(owner: object, name: str) -> bool:
    if hasattr(owner, name):
        return True
    # an attribute that only instances have is among the names that the methods of its class use
    members = (member for part in getattr(owner, "__mro__", ()) for member in vars(part).values())
    return any(name in member.__code__.co_names for member in members if inspect.isfunction(member))
