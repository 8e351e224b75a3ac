"""The report: tables that a fit and its diagnostics wrote, as one page for people. `omicsbal.report` is its door."""

from omicsbal._report._make import report

__all__ = ["report"]
