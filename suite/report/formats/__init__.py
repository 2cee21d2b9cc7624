"""Tables and results for other programs: CSV, Markdown, LaTeX, JSON, model cards."""
