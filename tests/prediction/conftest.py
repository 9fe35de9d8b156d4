from tests.unguarded import unguarded

__all__ = ["unguarded"]
