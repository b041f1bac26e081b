"""What ``wallaroo-dead-letters`` reads, shows and sends."""
