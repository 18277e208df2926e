package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"
)

type evaluator struct {
	engine *promql.Engine
	memory memory
}

func newEvaluator(stored memory) evaluator {
	return evaluator{memory: stored, engine: promql.NewEngine(promql.EngineOpts{
		MaxSamples:    10_000_000,
		Timeout:       time.Minute,
		LookbackDelta: 5 * time.Minute,
		Parser:        parser.NewParser(parser.Options{}),
	})}
}

func (e evaluator) vector(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
	asked, err := e.engine.NewInstantQuery(ctx, e.memory, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer asked.Close()
	result := asked.Exec(ctx)
	if result.Err != nil {
		return nil, result.Err
	}
	switch found := result.Value.(type) {
	case promql.Vector:
		return found, nil
	case promql.Scalar:
		return promql.Vector{{T: found.T, F: found.V}}, nil
	}
	return nil, fmt.Errorf("the result is a %s", result.Value.Type())
}

func (e evaluator) series(expr string, at float64) ([]series, error) {
	found, err := e.vector(context.Background(), expr, instant(at))
	if err != nil {
		return nil, err
	}
	answer := []series{}
	for _, each := range found {
		answer = append(answer, series{each.Metric.Map(), strconv.FormatFloat(each.F, 'g', -1, 64)})
	}
	return answer, nil
}

// alerts returns the alerts that are pending or fire at each instant.
func (e evaluator) alerts(rules string, instants []float64) ([]alert, error) {
	groups, problems := rulefmt.Parse([]byte(rules), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	answer := []alert{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rule.KeepFiringFor != 0 {
				return nil, fmt.Errorf("%s%s: only alerts without keep_firing_for", rule.Alert, rule.Record)
			}
			found, err := e.alert(rule, instants)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rule.Alert, err)
			}
			answer = append(answer, found...)
		}
	}
	return answer, nil
}

func (e evaluator) alert(rule rulefmt.Rule, instants []float64) ([]alert, error) {
	ctx := context.Background()
	answer := []alert{}
	since := map[string]time.Time{}
	for _, each := range instants {
		at := instant(each)
		found, err := e.vector(ctx, rule.Expr, at)
		if err != nil {
			return nil, err
		}
		active := map[string]time.Time{}
		for _, one := range found {
			expanded := expander{ctx, e, at, rule.Alert, one}
			carried := labels.NewBuilder(one.Metric).Del(labels.MetricName).Set(labels.AlertName, rule.Alert)
			for name, text := range rule.Labels {
				worded, err := expanded.text(text)
				if err != nil {
					return nil, err
				}
				carried.Set(name, worded)
			}
			annotated := map[string]string{}
			for name, text := range rule.Annotations {
				if annotated[name], err = expanded.text(text); err != nil {
					return nil, err
				}
			}
			of := carried.Labels()
			begun, again := since[of.String()]
			if !again {
				begun = at
			}
			active[of.String()] = begun
			state := "pending"
			if at.Sub(begun) >= time.Duration(rule.For) {
				state = "firing"
			}
			answer = append(answer, alert{each, rule.Alert, state, of.Map(), annotated})
		}
		since = active
	}
	return answer, nil
}

type expander struct {
	ctx    context.Context
	e      evaluator
	at     time.Time
	name   string
	sample promql.Sample
}

// text expands a template of a rule, as Prometheus does.
func (x expander) text(text string) (string, error) {
	data := template.AlertTemplateData(x.sample.Metric.Map(), nil, "", x.sample)
	names := "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
	return template.NewTemplateExpander(x.ctx, names+text, "__alert_"+x.name, data, model.TimeFromUnixNano(x.at.UnixNano()), x.e.vector, &url.URL{}, nil).Expand()
}
