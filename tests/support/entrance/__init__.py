"""What leads clients to a cluster in tests: Ingress controllers' stand-ins and load balancers."""
