"""What the cluster should hold for a WebSocketDomain: one pure builder per child manifest."""
