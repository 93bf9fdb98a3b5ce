package rabbitmq_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
	"github.com/fenfa/fenfa/internal/task"
)

func TestParseURL(t *testing.T) {
	for address, want := range map[string]struct {
		endpoints         []string
		user, pass, vhost string
		tls               bool
	}{
		"amqp://localhost":                    {[]string{"localhost:5672"}, "", "", "", false},
		"amqp://u:p@h:1/v":                    {[]string{"h:1"}, "u", "p", "v", false},
		"amqps://u:p%2F%40@a,b:7,[::1]:8/%2F": {[]string{"a:5671", "b:7", "[::1]:8"}, "u", "p/@", "/", true},
		"amqp://u:p?x#y@h/":                   {[]string{"h:5672"}, "u", "p?x#y", "", false},
		"amqp://u@::1":                        {[]string{"[::1]:5672"}, "u", "", "", false},
	} {
		t.Run(address, func(t *testing.T) {
			cfg, err := rabbitmq.ParseURL(address)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(cfg.Endpoints, want.endpoints) || cfg.User != want.user || cfg.Password.Reveal() != want.pass || cfg.VHost != want.vhost || (cfg.TLS != nil) != want.tls {
				t.Errorf("got %v %q %q %q, TLS %v", cfg.Endpoints, cfg.User, cfg.Password.Reveal(), cfg.VHost, cfg.TLS != nil)
			}
		})
	}
}

func TestWrongAddressesAreRefusedWithoutThePassword(t *testing.T) {
	for _, address := range []string{
		"", "sesame", "http://u:sesame@h", "amqp://u:sesame%zz@h", "amqp://%zz:sesame@h", "amqp://u:sesame@h/%zz", "amqp://u:sesame@", "amqp://u:sesame@a,,b",
		"amqp://u:sesame/1@h", "amqp://u:1/sesame@h", "amqp://u:1/sesame@h/v", "amqp://u:1@h:sesame", "amqp://u:1@h:0", "amqp://u:1@h:65536",
	} {
		if _, err := rabbitmq.ParseURL(address); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	good := rabbitmq.Config{Endpoints: []string{"h:1"}}
	for name, c := range map[string]struct {
		change func(*rabbitmq.Config)
		says   string
	}{
		"no endpoint":       {func(c *rabbitmq.Config) { c.Endpoints = nil }, "endpoint"},
		"no port":           {func(c *rabbitmq.Config) { c.Endpoints = []string{"h"} }, "host:port"},
		"with a password":   {func(c *rabbitmq.Config) { c.Endpoints = []string{"u:sesame@h:1"} }, "host:port"},
		"negative lanes":    {func(c *rabbitmq.Config) { c.Lanes = -1 }, "lanes is -1"},
		"prefetch":          {func(c *rabbitmq.Config) { c.Prefetch = 70_000 }, "65535"},
		"short heartbeat":   {func(c *rabbitmq.Config) { c.Heartbeat = time.Millisecond }, "at least 1s"},
		"negative timeout":  {func(c *rabbitmq.Config) { c.Timeout = -1 }, "timeout"},
		"negative replicas": {func(c *rabbitmq.Config) { c.Replicas = -3 }, "replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			if _, err := rabbitmq.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASecretDoesNotShow(t *testing.T) {
	secret := task.Secret("sesame")
	encoded, err := json.Marshal(struct{ Password task.Secret }{secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", secret, secret, secret, secret, secret), string(encoded), secret.LogValue().String()} {
		if strings.Contains(text, "sesame") {
			t.Errorf("it shows in %s", text)
		}
	}
}

func TestMetricsCountMessages(t *testing.T) {
	cfg := config(t)
	registry := prometheus.NewRegistry()
	cfg.Registerer = registry
	b := connect(t, cfg)
	if _, err := rabbitmq.New(t.Context(), cfg); err == nil {
		t.Error("two brokers count into one metric")
	}
	declare(t, b, broker.Declaration{MaxTasks: 8})
	publish(t, b, 0, 7)
	_ = b.Publish(within(t), []broker.Message{message(0, 7, 0), message(0, 8, 0), message(0, 9, 5)})
	r := open(t, b, 1)
	settle(t, r, read(t, r, numbers(0, 8)...)[:3]...)
	const want = `
# HELP fenfa_broker_delivered_total Tasks that were handed to readers, repeats among them.
# TYPE fenfa_broker_delivered_total counter
fenfa_broker_delivered_total 8
# HELP fenfa_broker_not_taken_total Tasks that were refused: duplicates, mismatches, a full backlog, wrong input.
# TYPE fenfa_broker_not_taken_total counter
fenfa_broker_not_taken_total 2
# HELP fenfa_broker_published_total Tasks that became durable.
# TYPE fenfa_broker_published_total counter
fenfa_broker_published_total 8
# HELP fenfa_broker_settled_total Tasks that were settled.
# TYPE fenfa_broker_settled_total counter
fenfa_broker_settled_total 3
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"fenfa_broker_published_total", "fenfa_broker_not_taken_total", "fenfa_broker_delivered_total", "fenfa_broker_settled_total"); err != nil {
		t.Error(err)
	}
}
