package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/spell"
)

// minRequest has room for the largest message of the SDK: a submit is up to 1 MiB
// and one more task of 1 MiB, the outcomes of a batch are up to 3 MiB.
const minRequest = 4 << 20

// maxNode is the longest name of a node, in bytes.
const maxNode = 128

// Validate reports the first setting that is out of range.
func (c *Config) Validate() error {
	if key, err := c.validate(); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// validate returns the key of the first setting that is out of range.
func (c *Config) validate() (key string, err error) {
	for _, check := range []struct {
		key string
		err error
	}{
		{"node", checkNode(c.Node)},
		{"data_dir", check(c.DataDir != "", "it is empty: name a directory")},
		{"grpc.listen", c.checkAddress("grpc", c.GRPC.Listen, &c.GRPC.TLS)},
		{"http.listen", c.checkAddress("http", c.HTTP.Listen, &c.HTTP.TLS)},
		{"grpc.tls.cert", c.GRPC.TLS.check("grpc.tls")},
		{"http.tls.cert", c.HTTP.TLS.check("http.tls")},
		{"grpc.tls.min_version", oneOf(c.GRPC.TLS.MinVersion, "1.2", "1.3")},
		{"http.tls.min_version", oneOf(c.HTTP.TLS.MinVersion, "1.2", "1.3")},
		{"http.listen", check(c.GRPC.Listen != c.HTTP.Listen || strings.HasSuffix(c.HTTP.Listen, ":0"), "it is the same as grpc.listen: each needs its own port")},
		{"auth.root_token_file", check(c.Auth.RootTokenFile == "" || c.Auth.Required, "it is for a node that asks for tokens: set auth.required too")},
		{"activity.retention", between(c.Activity.Retention, 24*time.Hour, 87_840*time.Hour)},
		{"partitions", between(c.Partitions, 1, 4096)},
		{"memory.limit", check(c.Memory.Limit == 0 || c.Memory.Limit >= 64<<20, "want 0, or at least 64MiB")},
		{"memory.gc_percent", between(c.Memory.GCPercent, 0, 10_000)},
		{"storage.cache", between(c.Storage.Cache, 1<<20, 1<<40)},
		{"storage.memtable", between(c.Storage.MemTable, 1<<20, 1<<30)},
		{"storage.min_free", between(c.Storage.MinFree, 1<<20, 1<<50)},
		{"broker.url", c.Broker.checkURL()},
		{"broker.prefix", c.Broker.checkPrefix()},
		{"broker.replicas", c.Broker.checkReplicas()},
		{"broker.timeout", between(c.Broker.Timeout, leastBrokerTimeout, 10*time.Minute)},
		{"broker.tls.ca", c.Broker.checkTLSIsUsed()},
		{"broker.tls.cert", c.Broker.checkTLS()},
		{"webhook.allow", c.Webhook.check()},
		{"store.url", c.Store.checkURL()},
		{"store.timeout", between(c.Store.Timeout, time.Second, 10*time.Minute)},
		{"store.connections", between(c.Store.Connections, 4, 1000)},
		{"store.lifetime", between(c.Store.Lifetime, time.Second, 24*time.Hour)},
		{"store.tls.ca", c.Store.checkTLSIsUsed()},
		{"store.tls.cert", c.Store.checkTLS()},
		{"limits.connections", between(c.Limits.Connections, 1, 1_000_000)},
		{"limits.streams", between(c.Limits.Streams, 1, 100_000)},
		{"limits.request", between(c.Limits.Request, minRequest, 1<<30)},
		{"workers.slow_start", between(c.Workers.SlowStart, 0, time.Hour)},
		{"log.level", oneOf(c.Log.Level, "debug", "info", "warn", "error")},
		{"log.format", oneOf(c.Log.Format, "auto", "text", "json")},
		{"shutdown.drain", between(c.Shutdown.Drain, 0, 24*time.Hour)},
		{"shutdown.stop", between(c.Shutdown.Stop, time.Second, time.Hour)},
	} {
		if check.err != nil {
			return check.key, check.err
		}
	}
	return "", nil
}

func check(ok bool, message string) error {
	if ok {
		return nil
	}
	return errors.New(message)
}

func between[T ~int | ~int64](value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("%v is out of range: want %v to %v", value, least, most)
	}
	return nil
}

func oneOf(value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	hint := ""
	if near, ok := spell.Nearest(value, known); ok {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return fmt.Errorf("%q is not one of %s%s", value, strings.Join(known, ", "), hint)
}

func checkNode(name string) error {
	for _, r := range name {
		if r <= ' ' || r == 0x7f {
			return fmt.Errorf("%q has a space or a control character", name)
		}
	}
	return check(len(name) <= maxNode, fmt.Sprintf("it has %d bytes; at most %d are allowed", len(name), maxNode))
}

// check of the files that go together.
func (t *ListenerTLS) check(section string) error {
	if (t.Cert == "") != (t.Key == "") {
		return fmt.Errorf("%s.cert and %s.key go together: give both, or none", section, section)
	}
	return check(t.ClientCA == "" || t.Cert != "", section+".client_ca is for encrypted connections: give "+section+".cert and "+section+".key too")
}

// checkAddress refuses what cannot be listened on, and what others could reach
// while nobody has to show a token, or while others may read along.
func (c *Config) checkAddress(port, address string, tls *ListenerTLS) error {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address: want host:port, like 127.0.0.1:7400", address)
	}
	if n, err := strconv.ParseUint(number, 10, 16); err != nil || strconv.FormatUint(n, 10) != number {
		return fmt.Errorf("%q has no port between 0 and 65535: want host:port, like 127.0.0.1:7400", address)
	}
	var missing []string
	if !c.Auth.Required {
		missing = append(missing, "asks nobody for a token (auth.required)")
	}
	if tls.Cert == "" {
		missing = append(missing, fmt.Sprintf("does not encrypt (%s.tls.cert)", port))
	}
	if c.Insecure || isLoopback(host) || len(missing) == 0 {
		return nil
	}
	where := "other machines"
	if host == "" {
		where = "all interfaces, and so other machines"
	}
	return fmt.Errorf("%q can be reached from %s, and this node %s: set what is missing, listen on 127.0.0.1, "+
		"or set insecure (--insecure) if the network in front is trusted", address, where, strings.Join(missing, " and "))
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (w Webhook) check() error {
	_, err := w.Prefixes()
	return err
}
