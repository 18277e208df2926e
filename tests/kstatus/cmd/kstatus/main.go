// kstatus prints what two libraries make of objects: the one of Helm and Flux, and the one that it was derived from.
// A JSON list of objects on stdin, a list of {"status", "message", "upstream"} on stdout.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	upstream "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status   string `json:"status"`
	Message  string `json:"message"`
	Upstream string `json:"upstream"`
}

func main() {
	var objects []map[string]any
	decoder := json.NewDecoder(os.Stdin)
	if err := decoder.Decode(&objects); err != nil {
		log.Fatal(err)
	}
	verdicts := make([]verdict, 0, len(objects))
	for _, object := range objects {
		text, err := json.Marshal(object)
		if err != nil {
			log.Fatal(err)
		}
		// Numbers as the API machinery reads them: whole ones are int64.
		var live unstructured.Unstructured
		if err := live.UnmarshalJSON(text); err != nil {
			log.Fatal(err)
		}
		result, err := status.Compute(&live)
		if err != nil {
			log.Fatal(err)
		}
		first, err := upstream.Compute(&live)
		if err != nil {
			log.Fatal(err)
		}
		verdicts = append(verdicts, verdict{string(result.Status), result.Message, string(first.Status)})
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		log.Fatal(err)
	}
}
