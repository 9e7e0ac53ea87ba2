"""ClickHouse: the tables, the views, and the one client that reads and writes them."""
