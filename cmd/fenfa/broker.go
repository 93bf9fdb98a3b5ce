package main

import (
	"strings"

	"github.com/fenfa/fenfa/internal/config"
)

// brokerFlag says which broker a demo or a benchmark runs on: embedded, rabbitmq,
// or rabbitmq=ADDRESS.
type brokerFlag struct {
	rabbitmq bool
	given    config.URL
	wrong    bool
}

const (
	brokerEmbedded = "embedded"
	brokerRabbitMQ = "rabbitmq"
)

// Set implements pflag.Value. It takes everything: the flag library would repeat
// what it refuses, and an address may hold a password. Check refuses.
func (b *brokerFlag) Set(text string) error {
	name, address, _ := strings.Cut(text, "=")
	*b = brokerFlag{rabbitmq: name == brokerRabbitMQ, given: config.URL(address)}
	scheme := b.given.Scheme()
	named := address == "" || b.rabbitmq && (scheme == config.SchemeAMQP || scheme == config.SchemeAMQPS)
	b.wrong = !named || !b.rabbitmq && name != brokerEmbedded
	return nil
}

// check refuses what is no broker.
func (b *brokerFlag) check() error {
	if b.wrong {
		return usagef("--broker names no broker that is known").withHint("want embedded, rabbitmq, or rabbitmq=amqp://user:password@host:5672/vhost")
	}
	return nil
}

// String implements pflag.Value, without a password.
func (b *brokerFlag) String() string {
	switch {
	case !b.rabbitmq:
		return brokerEmbedded
	case b.given == "":
		return brokerRabbitMQ
	default:
		return brokerRabbitMQ + "=" + b.given.String()
	}
}

// Type implements pflag.Value.
func (*brokerFlag) Type() string { return "string" }

// address returns the servers that were named, here or in the environment; empty:
// a private one is wanted.
func (b *brokerFlag) address(getenv func(string) string) string {
	switch {
	case !b.rabbitmq:
		return ""
	case b.given != "":
		return b.given.Reveal()
	default:
		return getenv("FENFA_BROKER_URL")
	}
}
