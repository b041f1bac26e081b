"""What is kept so that a run can go on after a crash: manifests, parts and journals as bytes."""
