module wsedge.io/foreign

go 1.26.0

// Modules whose CustomResourceDefinitions tests apply, or whose source they read: nothing is compiled.
require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/external-dns v0.22.0
	sigs.k8s.io/gateway-api v1.6.0
)
