from tests.reports import news

__all__ = ["news"]
