package rabbitmqserver

import (
	"slices"
	"strings"
	"testing"
)

func TestAnAddressOfSeveralHostsIsOneOfEach(t *testing.T) {
	for address, want := range map[string][]string{
		"amqp://u:p@a:1,b:2/v": {"amqp://u:p@a:1/v", "amqp://u:p@b:2/v"},
		"amqps://a":            {"amqps://a/"},
		"amqp://u:p@x@a, b":    {"amqp://u:p@x@a/", "amqp://u:p@x@b/"},
		"what":                 {"what"},
	} {
		if got := split(address); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

func TestSomebodysServersAreUsedUnderAPrefixOfTheRun(t *testing.T) {
	open := func(dir string) *Place {
		p, err := OpenPlace(t.Context(), PlaceConfig{Address: "amqp://u:pa55word@127.0.0.1:1/v", Dir: dir, Queue: "q", Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, again, b := open("/a"), open("/a"), open("/b")
	if a.Prefix() != again.Prefix() || a.Prefix() == b.Prefix() || !strings.HasPrefix(a.Prefix(), "fenfa-") {
		t.Errorf("prefixes %s, %s, %s", a.Prefix(), again.Prefix(), b.Prefix())
	}
	if a.Private() != nil {
		t.Error("somebody's server is called private")
	}
	if env := strings.Join(a.Env(), " "); env != "FENFA_BROKER_URL=amqp://u:pa55word@127.0.0.1:1/v FENFA_BROKER_PREFIX="+a.Prefix() {
		t.Errorf("environment %s", env)
	}
	if err := a.Close(); err == nil || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("closed with %v", err)
	}
	a.cfg.Keep = true
	if err := a.Close(); err != nil {
		t.Errorf("what is kept is not touched: %v", err)
	}
}
