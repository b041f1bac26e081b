"""What all classes have from which authors derive their connectors."""

from collections.abc import Iterable


class Authored:
    """A connector of an author, as ``build()`` asks about it."""

    def identity(self) -> str:
        """Return what must stay the same for positions, journals and numbers to stay valid.

        Such as a topic's name; by default the name of the class.
        """
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def mistakes(self) -> Iterable[str]:
        """Yield a sentence for each mistake in how the connector was configured."""
        return ()
