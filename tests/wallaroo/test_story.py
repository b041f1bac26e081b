"""What a machine remembers of its last steps."""

from wallaroo.story import LINE_CHARS_MAX, STEPS_MAX, Story


def test_a_story_has_the_last_steps_oldest_first() -> None:
    story = Story()
    for number in range(STEPS_MAX + 1):
        story.note("received", number)
    assert len(story.lines) == STEPS_MAX
    assert story.lines[0] == "received 1"
    assert story.lines[-1] == f"received {STEPS_MAX}"


def test_a_long_step_is_cut() -> None:
    story = Story()
    story.note("received", "x" * 10_000)
    (line,) = story.lines
    assert len(line) == LINE_CHARS_MAX
    assert line.startswith("received xx")
    assert line.endswith("x...")
