"""A benchmark of the explorer: re-entrancy faults modelled on published incidents. README.md says what they are."""
