package rabbitmq_test

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/brokertest"
	"github.com/fenfa/fenfa/internal/broker/faulty"
	"github.com/fenfa/fenfa/internal/fault"
)

func TestSuiteHoldsThroughFaults(t *testing.T) {
	for name, rates := range map[string]fault.Rates{
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
				b, err = faulty.New(faulty.Config{Broker: connect(t, config(t)), Plan: fault.Seeded(1, rates)})
				if err != nil {
					t.Fatal(err)
				}
				return brokertest.Harness{Broker: b}
			})
			if b.Count(fault.Fail)+b.Count(fault.Unknown)+b.Count(fault.Repeat) == 0 {
				t.Error("nothing went wrong")
			}
		})
	}
}
