"""The live web page of a cluster, its JSON interface and its metrics, served by the initializer."""
