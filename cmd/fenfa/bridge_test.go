package main

import (
	"strings"
	"testing"
)

func TestWrongFlagsOfABridgeAreExplained(t *testing.T) {
	const url = "amqp://user:not-to-be-shown@127.0.0.1:1/"
	for want, flags := range map[string]string{
		"say what to move":           "",
		"two directions":             "--queue q --from f",
		"say the queue of fenfa":     "--queue q",
		"--exchange is for the way":  "--queue q --to t --exchange x",
		"--reply is for the way":     "--queue q --to t --reply",
		"--to is for the way":        "--from f --to t --reply",
		"--prefetch is for the way":  "--from f --prefetch 5 --reply",
		"say where messages go":      "--from f",
		"reply-to: choose one":       "--from f --reply --routing-key k",
		"JSON body: choose one":      "--queue q --to t --key-header h --key-routing",
		`rule for ids is "uuid"`:     "--queue q --to t --id uuid",
		`refused messages is "drop"`: "--queue q --to t --on-refused drop",
		"and the file, go together":  "--queue q --to t --on-refused file",
		"limit is -1":                "--queue q --to t --limit -1",
		"do not go together":         "--queue q --to t --limit 1 --until-empty",
		"prefetch is 100000":         "--queue q --to t --prefetch 100000",
		"--drain-timeout is 0s":      "--queue q --to t --drain-timeout 0s",
		"begins with amqps://":       "--queue q --to t --tls-ca ca.pem",
	} {
		args := append([]string{"bridge", "rabbitmq", "--addr", "127.0.0.1:1", "--timeout", "50ms", "--url", url}, strings.Fields(flags)...)
		code, stdout, stderr := process(t, "", args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) || strings.Contains(stderr, "not-to-be-shown") {
			t.Errorf("%q: exit code %d, %s%s; want %q", flags, code, stdout, stderr, want)
		}
	}
}

func TestABridgeNeedsAnAddress(t *testing.T) {
	for want, args := range map[string][]string{
		envRabbitMQ:           nil,
		"begin with amqp://":  {"--url", "http://user:not-to-be-shown@host/"},
		"go together":         {"--url", "amqps://host/", "--tls-cert", "cert.pem"},
		"no such file":        {"--url", "amqps://host/", "--tls-ca", "missing.pem"},
		"escaped as in a URL": {"--url", "amqp://user:%zz-not-to-be-shown@host/"},
	} {
		code, _, stderr := process(t, "", append([]string{"bridge", "rabbitmq", "--queue", "q", "--to", "t"}, args...)...)
		if code != exitUsage || !strings.Contains(stderr, want) || strings.Contains(stderr, "not-to-be-shown") {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, stderr, want)
		}
	}
}
