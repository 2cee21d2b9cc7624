"""The definitions: tasks, recipes, budgets, protocols, grids, published figures."""
