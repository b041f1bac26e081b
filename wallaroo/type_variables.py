"""The type variables of the public API: `R` is a record, `Q` a result, `S` a state,
`V` what a window has computed."""

from typing import TYPE_CHECKING, Any

# With defaults, `ApplicationBuilder` without brackets is a complete type. Python has them from 3.13
# on. Type checkers know `typing_extensions` themselves, so it does not have to be installed.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # With this bound, pyright takes the argument of a lambda for `Any` if nothing says what it is.
    R = TypeVar("R", bound=Any, default=Any)
    Q = TypeVar("Q", default=Any)
    S = TypeVar("S", default=Any)
    Q_co = TypeVar("Q_co", default=Any, covariant=True)
    R_co = TypeVar("R_co", default=Any, covariant=True)
    R_contra = TypeVar("R_contra", default=Any, contravariant=True)
    S_contra = TypeVar("S_contra", default=Any, contravariant=True)
    V_co = TypeVar("V_co", default=Any, covariant=True)
    KeyT = TypeVar("KeyT", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")
    Q = TypeVar("Q")
    S = TypeVar("S")
    Q_co = TypeVar("Q_co", covariant=True)
    R_co = TypeVar("R_co", covariant=True)
    R_contra = TypeVar("R_contra", contravariant=True)
    S_contra = TypeVar("S_contra", contravariant=True)
    V_co = TypeVar("V_co", covariant=True)
    KeyT = TypeVar("KeyT")
