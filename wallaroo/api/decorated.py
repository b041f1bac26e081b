"""The object with which all decorators of this package replace a function."""

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, ParamSpec, Self, TypeVar, cast

from wallaroo.api.inspection import (
    PLAIN,
    FunctionKind,
    Problem,
    caller_place,
    function_place,
    function_problems,
    is_ours,
    kind_of,
)
from wallaroo.errors import WallarooParameterError
from wallaroo.function_names import qualified_name, short_name
from wallaroo.topology.graph import SourceLocation
from wallaroo.type_variables import Q_co

P = ParamSpec("P")
T = TypeVar("T")

PACKAGE = "wallaroo"


class BaseWrapped:
    """The base of all objects that decorators of this package make."""


class Decorated(BaseWrapped, Generic[P, Q_co]):
    """The user's function with its role in an application; it can still be called.

    An application may also derive a class of its own from a kind, such as ``wallaroo.Computation``,
    and give objects of it. Such a class has the methods of its kind, and wraps no function.

    A mistake in the use of the decorator does not raise at import. It is kept in ``mistakes``:
    ``ApplicationBuilder.build()`` reports those of all objects in use together, and a direct call
    raises ``WallarooParameterError``.
    """

    decorator: ClassVar[str]
    """The text of the decorator, for messages."""
    arguments: ClassVar[tuple[str, ...]]
    """The arguments with which a worker calls the function, by position."""
    kinds: ClassVar[frozenset[FunctionKind]] = PLAIN
    """The kinds of functions that it may be."""

    function: Callable[P, Q_co]
    """The function as the user wrote it, which a worker calls."""
    mistakes: tuple[str, ...]
    """A sentence for each mistake, with place and remedy."""

    def __new__(cls, *arguments: Any, **__: Any) -> Self:
        """Create the object with its own class, such as ``wallaroo.Computation__NAME``."""
        if not is_ours(cls.__module__):
            return super().__new__(cls)
        return super().__new__(_own_class(cls, arguments[0]))

    def __init_subclass__(cls) -> None:
        """Give a class of an application the methods of any object instead of a wrapper's."""
        super().__init_subclass__()
        if is_ours(cls.__module__):
            return
        for method in ("__init__", "__repr__", "__reduce__"):
            if is_ours(getattr(getattr(cls, method), "__module__", "")):
                setattr(cls, method, getattr(object, method))

    def __init__(self, function: Callable[P, Q_co], problems: Iterable[Problem] = ()) -> None:
        functools.update_wrapper(self, function, updated=())
        # A callable object has attributes of its own, which must not hide methods such as name().
        own = getattr(function, "__dict__", {})
        self.__dict__ |= {name: own[name] for name in own if not hasattr(type(self), name)}
        self.function = function
        self.place: SourceLocation = function_place(function, otherwise=caller_place())
        found = [*self._function_problems(), *problems]
        self.mistakes = tuple(problem.at(self.place) for problem in found)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function, for example in a unit test."""
        self._refuse_mistakes()
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{kind_of(self)} {self._label()} at {self.place}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        # A string makes pickle refer to the module and this name in it, as it does for functions.
        # A function made inside another one may have been put into the module under its __name__.
        qualified = str(getattr(self, "__qualname__", type(self).__qualname__))
        name = getattr(self, "__name__", qualified)
        module = sys.modules.get(self.__module__)
        is_put_there = name != qualified and getattr(module, name, None) is self
        return name if is_put_there else qualified

    def _share_mistakes(self, used: object) -> None:
        """Report the mistakes of an object that this one uses together with its own."""
        if isinstance(used, Decorated):
            self.mistakes = (*self.mistakes, *used.mistakes)

    def _label(self) -> str:
        return qualified_name(self.function)

    def _refuse_mistakes(self) -> None:
        if self.mistakes:
            raise WallarooParameterError(self.mistakes)

    def _function_problems(self) -> Iterable[Problem]:
        if isinstance(self.function, Decorated):
            yield Problem(
                f"{short_name(self.function)} has both {self.decorator} and "
                f"{self.function.decorator}",
                "keep one of the decorators",
            )
            return
        what = f"what {self.decorator} decorates"
        if callable(self.function):
            what = f"{short_name(self.function)}, decorated with {self.decorator},"
        yield from function_problems(
            self.function, what, self._arguments(), keywords=self._keywords(), kinds=self.kinds
        )

    def _arguments(self) -> tuple[str, ...]:
        """Return the arguments with which a worker calls this function, by position."""
        return self.arguments

    def _keywords(self) -> tuple[str, ...]:
        """Return the keywords with which a worker calls the function besides."""
        return ()


def is_decorated(thing: object) -> bool:
    """Return whether a decorator made ``thing``, and not a class of the application."""
    return isinstance(thing, Decorated) and "function" in vars(thing)


def _own_class(kind: type[T], function: object) -> type[T]:
    """Return a class for one decorated function, and make it an attribute of the package.

    Wallaroo applications refer to it by that name. If two functions have the same name, the later
    one has it.
    """
    name = f"{kind.__name__}__{getattr(function, '__name__', type(function).__name__)}"
    own = type(name, (kind,), {"__doc__": kind.__doc__, "__module__": PACKAGE})
    setattr(sys.modules[PACKAGE], name, own)
    return cast("type[T]", own)
