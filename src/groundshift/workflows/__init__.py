"""Where paths, blocks, workers and progress meet."""
