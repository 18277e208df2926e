package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// memory has the samples of each series, in order of time.
type memory map[string]*stored

type stored struct {
	labels  labels.Labels
	samples []chunks.Sample
}

func (m memory) add(of labels.Labels, at int64, number float64) {
	key := string(of.Bytes(nil))
	if m[key] == nil {
		m[key] = &stored{labels: of}
	}
	m[key].samples = append(m[key].samples, sample{at, number})
}

// store keeps scrapes as Prometheus does: a series that a target no longer has ends at once, and `up` says whether the
// target answered.
func store(scrapes []scrape) (memory, error) {
	kept := memory{}
	before := map[string]map[string]labels.Labels{}
	slices.SortStableFunc(scrapes, func(a, b scrape) int { return int(math.Copysign(1, a.At-b.At)) })
	for _, each := range scrapes {
		at := milliseconds(each.At)
		target := labels.FromMap(each.Labels)
		found := map[string]labels.Labels{}
		if each.Text != nil {
			if err := parse(*each.Text, func(of labels.Labels, number float64) {
				joined := withTarget(of, target, each.Honor)
				found[string(joined.Bytes(nil))] = joined
				kept.add(joined, at, number)
			}); err != nil {
				return nil, fmt.Errorf("scrape of %s: %w", target, err)
			}
		}
		for key, of := range before[target.String()] {
			if _, again := found[key]; !again {
				kept.add(of, at, math.Float64frombits(value.StaleNaN))
			}
		}
		before[target.String()] = found
		up := 0.0
		if each.Text != nil {
			up = 1
		}
		kept.add(labels.NewBuilder(target).Set(labels.MetricName, "up").Labels(), at, up)
	}
	return kept, nil
}

func parse(text string, each func(labels.Labels, float64)) error {
	parser, err := textparse.New([]byte(text), "text/plain; version=0.0.4", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return err
	}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, number := parser.Series()
		var of labels.Labels
		parser.Labels(&of)
		each(of, number)
	}
}

func withTarget(of, target labels.Labels, honor bool) labels.Labels {
	builder := labels.NewBuilder(of)
	target.Range(func(label labels.Label) {
		if own := of.Get(label.Name); own != "" {
			if honor {
				return
			}
			builder.Set("exported_"+label.Name, own)
		}
		builder.Set(label.Name, label.Value)
	})
	return builder.Labels()
}

func milliseconds(seconds float64) int64 { return int64(math.Round(seconds * 1000)) }

func instant(seconds float64) time.Time { return time.UnixMilli(milliseconds(seconds)).UTC() }

// Querier is for storage.Queryable.
func (m memory) Querier(int64, int64) (storage.Querier, error) { return querier{memory: m}, nil }

type querier struct {
	// Names and values of labels are asked for by no query.
	storage.LabelQuerier
	memory memory
}

func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := []storage.Series{}
	for _, each := range q.memory {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(each.labels.Get(m.Name)) }) {
			found = append(found, storage.NewListSeries(each.labels, each.samples))
		}
	}
	slices.SortFunc(found, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &seriesSet{found: found, next: -1}
}

func (q querier) Close() error { return nil }

type seriesSet struct {
	found []storage.Series
	next  int
}

func (s *seriesSet) Next() bool                        { s.next++; return s.next < len(s.found) }
func (s *seriesSet) At() storage.Series                { return s.found[s.next] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }
