"""Worker and initializer processes: sockets, disk, time. Applications never import this."""
