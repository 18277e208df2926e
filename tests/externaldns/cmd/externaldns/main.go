// externaldns prints the endpoints that external-dns finds in a namespace: the project's own sources, as its
// binary makes them, without a provider to which it would write them.
//
//	externaldns --kubeconfig=FILE --namespace=NAME SOURCE...
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/external-dns/endpoint"
	"sigs.k8s.io/external-dns/source"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file of the credentials")
	namespace := flag.String("namespace", "", "the namespace whose objects are read")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	clients := &source.SingletonClientGenerator{KubeConfig: *kubeconfig, RequestTimeout: time.Minute, QPS: 50, Burst: 50}
	config := &source.Config{Namespace: *namespace, GatewayNamespace: *namespace, LabelFilter: labels.Everything()}
	found := map[string][]*endpoint.Endpoint{}
	for _, name := range flag.Args() {
		made, err := source.BuildWithConfig(ctx, name, clients, config)
		if err != nil {
			log.Fatal(name, ": ", err)
		}
		if found[name], err = made.Endpoints(ctx); err != nil {
			log.Fatal(name, ": ", err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}
