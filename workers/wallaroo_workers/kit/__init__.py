"""The checks of `wallaroo.testing.kit`: they act, so they live here."""
