"""Input: connections of senders, journals, replay, hand-over of connections."""
