"""What sources and sinks are; how they read and write is the workers' business."""
