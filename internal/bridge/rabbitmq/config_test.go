package rabbitmq

import (
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
)

func TestWrongSettingsOfInAreRefused(t *testing.T) {
	for want, change := range map[string]func(*InConfig){
		"queue of RabbitMQ":       func(c *InConfig) { c.Queue = "" },
		"queue of fenfa":          func(c *InConfig) { c.To = "" },
		"client":                  func(c *InConfig) { c.Client = nil },
		"prefetch is 70000":       func(c *InConfig) { c.Prefetch = 70000 },
		"prefetch is -1":          func(c *InConfig) { c.Prefetch = -1 },
		"limit is -1":             func(c *InConfig) { c.Limit = -1 },
		"do not go together":      func(c *InConfig) { c.Limit, c.UntilEmpty = 1, true },
		"choose one":              func(c *InConfig) { c.Key = KeyRule{Header: "h", JSON: "j"} },
		`ids is "uuid"`:           func(c *InConfig) { c.ID = "uuid" },
		`refused messages is "x"`: func(c *InConfig) { c.Refused = "x" },
		"go together":             func(c *InConfig) { c.Refused = RefusedFile },
		"the file, go together":   func(c *InConfig) { c.RefusedFile = "f" },
		"negative":                func(c *InConfig) { c.DrainTimeout = -1 },
	} {
		cfg := InConfig{Queue: "q", To: "t", Client: &submitter{}}
		if _, err := NewIn(cfg); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if _, err := NewIn(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestWrongSettingsOfOutAreRefused(t *testing.T) {
	for want, change := range map[string]func(*OutConfig){
		"queue of fenfa":       func(c *OutConfig) { c.From = "" },
		"client":               func(c *OutConfig) { c.Client = nil },
		"concurrency":          func(c *OutConfig) { c.Concurrency = -1 },
		"negative":             func(c *OutConfig) { c.DrainTimeout = -1 },
		"say where":            func(c *OutConfig) { c.Route = Route{} },
		"name no other":        func(c *OutConfig) { c.Route = Route{Exchange: "x", Reply: true} },
		"choose one":           func(c *OutConfig) { c.Route = Route{Key: "k", Header: "h"} },
		"reply-to: choose one": func(c *OutConfig) { c.Route = Route{Key: "k", Reply: true} },
	} {
		cfg := OutConfig{From: "q", Client: &fenfa.Client{}, Route: Route{Key: "k"}}
		if _, err := NewOut(cfg); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if _, err := NewOut(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
