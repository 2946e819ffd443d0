"""Speed, as ratios in one run against a floor and against peers."""
