"""The process that forms a cluster and watches over it."""
