package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestURLsShowWithoutTheirPasswords(t *testing.T) {
	for given, shown := range map[string]string{
		"":                                "",
		"amqp://h":                        "amqp://h",
		"amqp://u@h:1/v":                  "amqp://u@h:1/v",
		"amqp://u:secret@h:5672,i:5673/v": "amqp://u:[redacted]@h:5672,i:5673/v",
		"amqps://u:se%40cret@h/":          "amqps://u:[redacted]@h/",
		"amqp://u:secret@secret@h":        "amqp://u:[redacted]@h",
		"amqp://u:sec/secret@h:5672/v":    "amqp://[redacted]",
		"u:secret@h":                      "[redacted]",
		"amqp:u:secret@h":                 "[redacted]",
		"h:5672":                          "h:5672",
		"amqp://:secret@h":                "amqp://:[redacted]@h",
		"mysql://u:secret@h:1/d,mysqls://v:secret@i,j/e": "mysql://u:[redacted]@h:1/d,mysqls://v:[redacted]@i,j/e",
		"mysql://u:se,mysql://secret@h/d":                "mysql://[redacted]",
		"mysql://u:se,secret@h/d":                        "mysql://u:[redacted]@h/d",
	} {
		u := URL(given)
		if got := u.String(); got != shown {
			t.Errorf("%q shows as %q, want %q", given, got, shown)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("configured", "url", u, "all", Broker{URL: u})
		text, err := json.Marshal(Broker{URL: u})
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{log.String(), string(text), fmt.Sprintf("%v %+v %#v %s %q", u, Broker{URL: u}, Broker{URL: u}, u, u)} {
			if strings.Contains(out, "secret") {
				t.Errorf("the password shows in %s", out)
			}
		}
		if u.Reveal() != given {
			t.Errorf("%q is revealed as %q", given, u.Reveal())
		}
	}
}

func TestPasswordsShowNowhere(t *testing.T) {
	const secret = "pa55word"
	file := "broker:\n  url: amqp://fenfa:" + secret + "@a:1/v\n  tls: {ca: /ca.pem}\n"
	if _, err := load(t, file, nil); err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "broker.tls.ca") {
		t.Errorf("TLS files without TLS: %v", err)
	}
	for _, address := range []string{"fenfa:" + secret + "@a:1", "http://fenfa:" + secret + "@a:1", "amq://fenfa:" + secret + "@a"} {
		for _, give := range []func() error{
			func() error { _, err := load(t, "broker: {url: \""+address+"\"}\n", nil); return err },
			func() error { _, err := load(t, "", []string{"FENFA_BROKER_URL=" + address}); return err },
			func() error { _, err := load(t, "", nil, "--broker-url="+address); return err },
		} {
			if err := give(); err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "broker.url") {
				t.Errorf("got %v", err)
			}
		}
	}
	good, err := load(t, "broker:\n  tls: {ca: /ca.pem}\n", nil, "--broker-url=amqps://fenfa:"+secret+"@a:1,b:2/v")
	if err != nil {
		t.Fatal(err)
	}
	if got := good.Config.Broker.URL.Reveal(); got != "amqps://fenfa:"+secret+"@a:1,b:2/v" {
		t.Errorf("the address is %s", got)
	}
	for _, f := range NewLoader().Flags() {
		if f.Name != "broker-url" {
			continue
		}
		if err := f.Set("amqp://fenfa:" + secret + "@a"); err != nil || strings.Contains(fmt.Sprint(f), secret) {
			t.Errorf("the flag is %s, %v", f, err)
		}
	}
	var b bytes.Buffer
	if err := good.Print(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), secret) || !strings.Contains(b.String(), "url: amqps://fenfa:[redacted]@a:1,b:2/v") {
		t.Errorf("printed:\n%s", b.String())
	}
	if strings.Contains(fmt.Sprintf("%+v", good), secret) {
		t.Error("the password shows in the loaded settings")
	}
}

func TestPasswordsOfShardsShowNowhere(t *testing.T) {
	const list = "mysql://fenfa:pa55word@a:1/one, mysql://fenfa:pa55word@b:2,c:3/two"
	loaded, err := load(t, "", []string{"FENFA_STORE_URL=" + list})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := loaded.Print(&b); err != nil {
		t.Fatal(err)
	}
	out := b.String() + fmt.Sprintf("%+v %#v", loaded, loaded.Config)
	if strings.Contains(out, "pa55word") || !strings.Contains(out, "mysql://fenfa:[redacted]@a:1/one,mysql://fenfa:[redacted]@b:2,c:3/two") {
		t.Errorf("printed:\n%s", out)
	}
	if got := loaded.Config.Store.URL.List(); len(got) != 2 || got[1].Reveal() != "mysql://fenfa:pa55word@b:2,c:3/two" {
		t.Errorf("the list has %d addresses", len(got))
	}
	for _, wrong := range []string{"fenfa:pa55word@a/one", "mysq://fenfa:pa55word@a/one", "mysql://fenfa:pa55word@a", "mysql://fenfa:pa55word@a/one,amqp://fenfa:pa55word@b/c"} {
		_, err := load(t, "", []string{"FENFA_STORE_URL=" + wrong})
		if err != nil && (strings.Contains(err.Error(), "pa55word") || !strings.Contains(err.Error(), "store.url")) {
			t.Errorf("%s: got %v", wrong, err)
		}
	}
}

func TestSectionsWithinSectionsArePrinted(t *testing.T) {
	first, err := load(t, "", nil, "--broker-url=amqps://a", "--broker-tls-ca=/x", "--broker-tls-cert=/c", "--broker-tls-key=/k")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := first.Print(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\n  tls:\n    ca: /x ") {
		t.Errorf("printed:\n%s", b.String())
	}
	if second, err := load(t, b.String(), nil); err != nil || second.Config != first.Config {
		t.Errorf("%v\n%s", err, b.String())
	}
}
