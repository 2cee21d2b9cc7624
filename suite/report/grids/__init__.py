"""Tables of the grids that compare what no paper does."""
