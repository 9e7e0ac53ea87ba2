"""Sealed days as files: a report read from ClickHouse, a workbook written from it."""
