package rabbitmq

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fenfa/fenfa"
	broker "github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// OutConfig says what Out publishes, and where.
type OutConfig struct {
	Server broker.Config // of RabbitMQ; required
	Client *fenfa.Client // required
	From   string        // queue of fenfa; required
	Route  Route
	// Mandatory makes a message that no queue takes a failed attempt. Without it the
	// server drops such a message and confirms it.
	Mandatory bool
	// Concurrency is how many messages wait for their confirm at the same time; default
	// 256.
	Concurrency int
	// DrainTimeout is how long messages that are under way may take after the context
	// of Run ended; default 25 s.
	DrainTimeout time.Duration
	// RetryBase and RetryMax are the shortest and the longest mean delay between
	// attempts to connect; defaults 100 ms and 5 s.
	RetryBase time.Duration
	RetryMax  time.Duration
	// OnEvent hears what happens to the worker; nil: nobody.
	OnEvent func(fenfa.Event)
	Logger  *slog.Logger // nil: no logs
}

// Route says where a task's message goes.
type Route struct {
	Exchange string // empty: the default exchange, whose routing key is a queue's name
	// Exactly one of the three is set.
	Key    string // the routing key
	Header string // the header of the task that holds the routing key
	// Reply takes HeaderReplyTo as the routing key of the default exchange.
	Reply bool
}

func (r *Route) validate() error {
	n := 0
	for _, set := range []bool{r.Key != "", r.Header != "", r.Reply} {
		if set {
			n++
		}
	}
	switch {
	case r.Reply && r.Exchange != "":
		return errors.New("replies go to the default exchange: name no other")
	case n > 1:
		return errors.New("the routing key is given, or comes from a header, or is the reply-to: choose one")
	case n == 0 && r.Exchange == "":
		return errors.New("say where messages go: an exchange, a routing key, or replies")
	}
	return nil
}

func (c OutConfig) withDefaults() (OutConfig, error) {
	def(&c.Concurrency, DefaultConcurrency)
	def(&c.DrainTimeout, DefaultDrainTimeout)
	def(&c.RetryBase, DefaultRetryBase)
	def(&c.RetryMax, max(DefaultRetryMax, c.RetryBase))
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("new bridge to RabbitMQ: %w", err)
	}
	return c, nil
}

func (c *OutConfig) validate() error {
	switch {
	case c.From == "":
		return errors.New("name the queue of fenfa")
	case c.Client == nil:
		return errors.New("a client is missing")
	case c.Concurrency < 1:
		return fmt.Errorf("concurrency is %d: want 1 or more", c.Concurrency)
	case c.DrainTimeout < 0 || c.RetryBase < 0 || c.RetryMax < 0:
		return errors.New("a timeout or delay is negative")
	}
	return c.Route.validate()
}
