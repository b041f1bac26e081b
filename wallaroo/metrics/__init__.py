"""What a running cluster is measured by: counts, histograms, and what is made of them."""
