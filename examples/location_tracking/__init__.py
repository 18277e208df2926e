"""Location tracking: the last known position of a share, for those who have its link."""
