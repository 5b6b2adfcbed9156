"""`parley dlq`: what no consumer could take, listed, shown and sent again."""
