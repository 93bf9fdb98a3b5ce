package rabbitmq

import (
	"context"
	"errors"
	"fmt"
)

// Problem implements broker.Watched: it says why the servers do not take or give
// messages now, as far as the connections tell.
func (b *Broker) Problem() error {
	if err := b.disconnected(); err != nil {
		return err
	}
	if err := b.blocked(); err != nil {
		return err
	}
	return b.alone.problem()
}

// shared returns the connections that all queues share.
func (b *Broker) shared() []*link {
	links := append([]*link{b.control.link}, b.readers...)
	for _, ln := range b.lanes {
		links = append(links, ln.link)
	}
	return links
}

// disconnected says why a connection is missing.
func (b *Broker) disconnected() error {
	for _, l := range b.shared() {
		s, _, failure := l.state()
		if s != nil {
			continue
		}
		if failure == nil {
			failure = errors.New("not connected yet")
		}
		return fmt.Errorf("no connection to RabbitMQ at %s: %w", b.servers, failure)
	}
	return nil
}

// blocked says which connection the server takes nothing from.
func (b *Broker) blocked() error {
	for _, l := range b.shared() {
		if s, _, _ := l.state(); s != nil {
			if now := s.blocked.Load(); now != nil {
				return fmt.Errorf("RabbitMQ at %s: %w", s.endpoint, blockedError(now))
			}
		}
	}
	return nil
}

// blockOf says why the server takes no messages over a connection, or returns nil.
// It tells each connection of an alarm only when that publishes, and what was sent
// by then is unknown: so the first one that hears of it speaks for all to the same
// server.
func (b *Broker) blockOf(s *session) *block {
	if now := s.blocked.Load(); now != nil || b.blocks.Load() == 0 {
		return now
	}
	for _, l := range b.shared() {
		other, _, _ := l.state()
		if other == nil || other.endpoint != s.endpoint {
			continue
		}
		if now := other.blocked.Load(); now != nil {
			return now
		}
	}
	return nil
}

// connected says that a connection was made: with the last one an outage is over.
func (b *Broker) connected(ctx context.Context) {
	if b.disconnected() != nil {
		return
	}
	if was, ok := b.away.end(); ok {
		b.cfg.Logger.InfoContext(ctx, "RabbitMQ is back", was...)
	}
}
