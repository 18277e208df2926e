"""Bullet comments (danmaku): comments of all viewers fly over the same video."""
