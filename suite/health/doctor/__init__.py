"""What `python -m suite doctor` looks at and how: findings, checks of packages, all other checks with the table, and running them."""
