// promql evaluates alerting rules and queries of PromQL on scrapes, with Prometheus' own parser, engine and templates.
//
// It reads one question from standard input and writes one answer to standard output, both JSON: a scrape is the body
// that a program answered, with the labels of its target and the instant at which it counts. Rules are evaluated at
// each instant in order, as a group's interval does; an alert fires after it was active for the time in `for`.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type question struct {
	Scrapes  []scrape  `json:"scrapes"`
	Rules    string    `json:"rules"`
	Instants []float64 `json:"instants"`
	Queries  []query   `json:"queries"`
}

type scrape struct {
	At     float64           `json:"at"`
	Labels map[string]string `json:"labels"`
	// Nil when the target did not answer.
	Text *string `json:"text"`
	// Labels of metrics win over those of the target, as with honor_labels.
	Honor bool `json:"honor"`
}

type query struct {
	Expr string  `json:"expr"`
	At   float64 `json:"at"`
}

type series struct {
	Labels map[string]string `json:"labels"`
	// As text: JSON has no infinity.
	Value string `json:"value"`
}

type alert struct {
	At          float64           `json:"at"`
	Name        string            `json:"name"`
	State       string            `json:"state"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

type answer struct {
	Alerts  []alert    `json:"alerts"`
	Results [][]series `json:"results"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return fmt.Errorf("question: %w", err)
	}
	stored, err := store(asked.Scrapes)
	if err != nil {
		return err
	}
	given := answer{Alerts: []alert{}, Results: [][]series{}}
	evaluator := newEvaluator(stored)
	if asked.Rules != "" {
		if given.Alerts, err = evaluator.alerts(asked.Rules, asked.Instants); err != nil {
			return err
		}
	}
	for _, each := range asked.Queries {
		found, err := evaluator.series(each.Expr, each.At)
		if err != nil {
			return fmt.Errorf("%s: %w", each.Expr, err)
		}
		given.Results = append(given.Results, found)
	}
	return json.NewEncoder(os.Stdout).Encode(given)
}
