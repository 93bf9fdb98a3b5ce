package rabbitmq

import (
	"errors"
	"fmt"
)

// Problem implements broker.Watched: it says why the servers do not take or give
// messages now, as far as the connections tell.
func (b *Broker) Problem() error {
	links := append([]*link{b.control.link}, b.readers...)
	for _, ln := range b.lanes {
		links = append(links, ln.link)
	}
	for _, l := range links {
		s, _, failure := l.state()
		if s == nil {
			if failure == nil {
				failure = errors.New("not connected yet")
			}
			return fmt.Errorf("no connection to RabbitMQ at %s: %w", b.servers, failure)
		}
		if blocked := s.blocked.Load(); blocked != nil {
			return fmt.Errorf("RabbitMQ at %s: %w", s.endpoint, blockedError(blocked))
		}
	}
	return nil
}
