from tests.little_compilation import little_compilation

__all__ = ["little_compilation"]
