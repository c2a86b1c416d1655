"""What keeps the model's body small in memory: layer inputs on the host, tiles, lean operations."""
