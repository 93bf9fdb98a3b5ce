package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/rabbitmq"
	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/loopback"
	"github.com/fenfa/fenfa/internal/task"
)

const secret = "pa55word"

// refused opens a node that must not start, and returns why.
func refused(t *testing.T, opts Options) *task.Error {
	t.Helper()
	n, err := Open(t.Context(), opts)
	if err == nil {
		_ = n.Close(t.Context())
		t.Fatal("the node started")
	}
	e, ok := errors.AsType[*task.Error](err)
	if !ok {
		t.Fatalf("not an error for a person: %v", err)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the password shows: %v", err)
	}
	return e
}

// nobody returns an address that refuses connections: that of a port that is kept
// from others, and where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	ports, err := loopback.Reserve(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ports.Release(); err != nil {
			t.Error(err)
		}
	})
	return ports.Addr(0)
}

func TestABrokerThatCannotBeReachedIsNamed(t *testing.T) {
	opts := options(t)
	host := nobody(t)
	opts.Config.Broker.URL = config.URL("amqp://fenfa:" + secret + "@" + host + "/v")
	opts.Config.Broker.Timeout = 3 * time.Second
	e := refused(t, opts)
	for _, want := range []string{"cannot be reached", "amqp://fenfa:[redacted]@" + host + "/v", "connection refused"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("%q is not in %q", want, e.Message)
		}
	}
	if e.Field != "broker.url" {
		t.Errorf("the field is %q", e.Field)
	}
}

func TestTasksOfTheEmbeddedBrokerAreNotLeftBehind(t *testing.T) {
	opts := options(t)
	r := start(t, opts)
	r.queue()
	r.submit(&fenfav1.Task{Queue: "orders"})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	opts.Config.Broker.URL = config.URL("amqp://fenfa:" + secret + "@" + nobody(t))
	if e := refused(t, opts); !strings.Contains(e.Message, "holds 1 tasks") || e.Field != "broker.url" {
		t.Errorf("got %v", e)
	}
}

func TestErrorsOfTheServersSayWhatToCheck(t *testing.T) {
	url := config.URL("amqp://fenfa:" + secret + "@h")
	for want, err := range map[string]error{
		"check user, password and vhost": rabbitmq.ErrLogin,
		"check that it runs":             context.DeadlineExceeded,
		"one node uses a prefix":         rabbitmq.ErrInUse,
		"cannot be used":                 errors.New("queue exists otherwise"),
	} {
		got := brokerError(url, err)
		if !strings.Contains(got.Error(), want) || !errors.Is(got, err) || strings.Contains(got.Error(), secret) {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := brokerError(url, context.Canceled); !errors.Is(err, context.Canceled) || task.CodeOf(err) == task.CodeFailedPrecondition {
		t.Errorf("a start that was called off: %v", err)
	}
}

// certificate writes a certificate and its key, and returns their files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", raw)
}

func TestSettingsReachTheDriver(t *testing.T) {
	cert, key := certificate(t)
	cfg, err := rabbitConfig(&config.Broker{
		URL: config.URL("amqps://fenfa:" + secret + "@a,b:1/v"), Prefix: "p", Replicas: 3, Timeout: time.Minute,
		TLS: config.BrokerTLS{CA: cert, Cert: cert, Key: key},
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Prefix != "p" || cfg.Replicas != 3 || cfg.Timeout != time.Minute || cfg.VHost != "v" || cfg.User != "fenfa" || string(cfg.Password) != secret {
		t.Errorf("got %+v", cfg)
	}
	if len(cfg.Endpoints) != 2 || cfg.TLS == nil || cfg.TLS.RootCAs == nil || len(cfg.TLS.Certificates) != 1 {
		t.Errorf("got %v, %+v", cfg.Endpoints, cfg.TLS)
	}
	for field, change := range map[string]config.Broker{
		"broker.url":      {URL: "amqps://fenfa:" + secret + "@"},
		"broker.tls.ca":   {URL: "amqps://a", TLS: config.BrokerTLS{CA: key}},
		"broker.tls.cert": {URL: "amqps://a", TLS: config.BrokerTLS{Cert: key, Key: cert}},
	} {
		_, err := rabbitConfig(&change)
		if e, ok := errors.AsType[*task.Error](err); !ok || e.Field != field || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := rabbitConfig(&config.Broker{URL: "amqps://a", TLS: config.BrokerTLS{CA: "/nowhere.pem"}}); err == nil {
		t.Error("a file that is not there was read")
	}
}

// away is a broker whose servers are away.
type away struct{ broker.Broker }

func (away) Problem() error { return errors.New("nobody answers") }

func TestANodeWithoutItsBrokerIsNotReady(t *testing.T) {
	r := start(t, options(t))
	if problems := r.Problems(); len(problems) != 0 {
		t.Errorf("problems: %v", problems)
	}
	there := r.broker
	r.broker = away{there}
	if problems := r.Problems(); len(problems) != 1 || problems[0] != "the broker is away: nobody answers" {
		t.Errorf("problems: %v", problems)
	}
	r.broker = there
}
