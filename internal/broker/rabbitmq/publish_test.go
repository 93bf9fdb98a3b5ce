package rabbitmq

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fenfa/fenfa/internal/broker"
)

func TestWhatWasRefusedIsNotCountedAsUnknown(t *testing.T) {
	refusal, loss := errors.New("refused"), errors.New("lost")
	for name, c := range map[string]struct {
		failed                       map[int]error
		lost                         error
		published, notTaken, unknown float64
	}{
		"all stored":                     {nil, nil, 4, 0, 0},
		"some refused":                   {map[int]error{1: refusal}, nil, 3, 1, 0},
		"no answer":                      {nil, loss, 0, 0, 4},
		"some refused, the rest unknown": {map[int]error{0: refusal, 3: refusal}, loss, 0, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMetrics()
			p := &publication{b: &Broker{metrics: m}, batch: make([]broker.Message, 4), failed: c.failed, lost: c.lost}
			if err := p.answer(); (err == nil) != (c.lost == nil && c.failed == nil) || c.lost != nil && !errors.Is(err, c.lost) {
				t.Errorf("it answered %v", err)
			}
			published, notTaken, unknown := testutil.ToFloat64(m.published), testutil.ToFloat64(m.notTaken), testutil.ToFloat64(m.unknown)
			if published != c.published || notTaken != c.notTaken || unknown != c.unknown {
				t.Errorf("published %v, not taken %v, unknown %v", published, notTaken, unknown)
			}
		})
	}
}
