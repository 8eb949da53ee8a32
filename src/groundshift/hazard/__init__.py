"""What a series means: stages of creep, when a slope may fail, what rain does to it."""
