"""Roles, quotas, row policies and the user `reader` for ClickHouse servers. (The embedded one holds readers itself.)"""
