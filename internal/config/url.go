package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/spell"
)

// URL is an address that may hold a password. However it is printed or logged, the
// password does not show.
type URL string

const redacted = "[redacted]"

// Reveal returns the address with its password, for the one place that connects.
func (u URL) Reveal() string { return string(u) }

// List returns the addresses of a list: they are separated by commas, and each
// begins with the scheme of a database.
func (u URL) List() []URL {
	var list []URL
	for piece := range strings.SplitSeq(string(u), ",") {
		trimmed := URL(strings.TrimSpace(piece))
		if scheme := trimmed.Scheme(); len(list) == 0 || scheme == SchemeMySQL || scheme == SchemeMySQLS {
			list = append(list, trimmed)
		} else {
			list[len(list)-1] += "," + trimmed
		}
	}
	return list
}

// String returns the address, or the list of them, without passwords, and without
// anything else before the hosts that is not a user.
func (u URL) String() string {
	list := u.List()
	shown := make([]string, len(list))
	for i, one := range list {
		if len(list) > 1 && !one.isWhole() {
			// A password with a comma that was not escaped: nothing of it may show.
			return one.Scheme() + "://" + redacted
		}
		shown[i] = one.show()
	}
	return strings.Join(shown, ",")
}

// isWhole reports whether the address has a path, as each of a list must.
func (u URL) isWhole() bool {
	_, rest, _ := strings.Cut(string(u), "://")
	return strings.Contains(rest, "/")
}

func (u URL) show() string {
	scheme, rest, ok := strings.Cut(string(u), "://")
	if !ok {
		if strings.Contains(string(u), "@") {
			return redacted
		}
		return string(u)
	}
	authority, path, hasPath := strings.Cut(rest, "/")
	at := strings.LastIndex(authority, "@")
	if strings.Contains(path, "@") {
		// A password with a slash that was not escaped: nothing of it may show.
		return scheme + "://" + redacted
	}
	if at >= 0 {
		user, _, hasPassword := strings.Cut(authority[:at], ":")
		if hasPassword {
			user += ":" + redacted
		}
		authority = user + authority[at:]
	}
	if hasPath {
		authority += "/" + path
	}
	return scheme + "://" + authority
}

// GoString hides the password.
func (u URL) GoString() string { return u.String() }

// LogValue hides the password.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText hides the password.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// Scheme returns what is before "://", or "" where that is missing.
func (u URL) Scheme() string {
	scheme, _, ok := strings.Cut(string(u), "://")
	if !ok {
		return ""
	}
	return scheme
}

// Schemes of brokers.
const (
	SchemeAMQP  = "amqp"
	SchemeAMQPS = "amqps"
)

// leastBrokerTimeout leaves time to make a queue, which takes 2 s on some servers.
const leastBrokerTimeout = 3 * time.Second

// maxReplicas is more than any cluster gains from.
const maxReplicas = 9

func (b *Broker) checkURL() error {
	if b.URL == "" {
		return nil
	}
	known := []string{SchemeAMQP, SchemeAMQPS}
	switch scheme := b.URL.Scheme(); scheme {
	case SchemeAMQP, SchemeAMQPS:
		return nil
	case "":
		// What was given is not repeated: it may hold a password.
		return errors.New("it has no scheme: want amqp://user:password@host:5672/vhost, or amqps:// with TLS")
	default:
		hint := ""
		if near, ok := spell.Nearest(scheme, known); ok {
			hint = fmt.Sprintf(": did you mean %q?", near)
		}
		return fmt.Errorf("no broker is known by the scheme %q; want one of %s%s", scheme, strings.Join(known, ", "), hint)
	}
}

func (b *Broker) checkPrefix() error {
	if b.Prefix == "" || len(b.Prefix) > 64 || strings.Trim(b.Prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return fmt.Errorf("%q cannot be one: want 1 to 64 letters, digits, - and _", b.Prefix)
	}
	return nil
}

func (b *Broker) checkReplicas() error {
	if b.Replicas < 0 || b.Replicas > maxReplicas || b.Replicas != 0 && b.Replicas%2 == 0 {
		return fmt.Errorf("%d is out of range: want 0, or an odd number up to %d", b.Replicas, maxReplicas)
	}
	return nil
}

// check of the files that TLS needs, by the key of the wrong one.
func (b *Broker) checkTLS() error {
	t := b.TLS
	return check((t.Cert == "") == (t.Key == ""), "broker.tls.cert and broker.tls.key go together: give both, or none")
}

func (b *Broker) checkTLSIsUsed() error {
	return check(b.TLS == BrokerTLS{} || b.URL.Scheme() == SchemeAMQPS, "it is for an address that begins with amqps://, which broker.url does not")
}
