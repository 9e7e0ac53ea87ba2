"""The page and its API: answers from ClickHouse, shared among pages, and a push when today's figures change."""
