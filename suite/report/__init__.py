"""Records in; pages, tables and figures out. Needs neither torch nor data."""
