"""What holds for all tests."""

from hypothesis import settings

# A machine that is busy with other things is no failure of what is tested.
settings.register_profile("wallaroo", deadline=None)
settings.load_profile("wallaroo")
