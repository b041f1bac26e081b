"""Event time: clocks, windows and timers as values and machines that know no process."""
