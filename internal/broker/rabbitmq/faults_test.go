package rabbitmq_test

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/brokertest"
	"github.com/fenfa/fenfa/internal/broker/faulty"
)

func TestSuiteHoldsThroughFaults(t *testing.T) {
	for name, rates := range map[string]faulty.Rates{
		"failures": {Fail: 0.3},
		"unknown":  {Unknown: 0.3},
		"repeats":  {Repeat: 0.4},
		"all":      {Fail: 0.15, Unknown: 0.15, Repeat: 0.15, Delay: 0.1, MaxDelay: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var b faulty.Driver
			brokertest.RunUnreliable(t, func(t *testing.T) brokertest.Harness {
				t.Helper()
				var err error
				b, err = faulty.New(faulty.Config{Broker: connect(t, config(t)), Plan: faulty.Seeded(1, rates)})
				if err != nil {
					t.Fatal(err)
				}
				return brokertest.Harness{Broker: b}
			})
			if b.Count(faulty.Fail)+b.Count(faulty.Unknown)+b.Count(faulty.Repeat) == 0 {
				t.Error("nothing went wrong")
			}
		})
	}
}
