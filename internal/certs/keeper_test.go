package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/certs/certstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a keeper that looks when the test says so.
type rig struct {
	*Keeper
	t     *testing.T
	a     *certstest.Authority
	files certstest.Pair
	log   bytes.Buffer
	age   int
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, a: certstest.New(t)}
	r.files = r.a.Pair()
	cfg := Config{
		Listener: "grpc", Cert: r.files.Cert, Key: r.files.Key, Interval: time.Hour, Protocols: []string{"h2"},
		Logger: slog.New(slog.NewTextHandler(&r.log, nil)), Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&cfg)
	}
	k, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	r.Keeper = k
	return r
}

// touched gives the files times that no earlier look has seen.
func (r *rig) touched(names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.age++
		if err := os.Chtimes(name, time.Time{}, time.Unix(int64(1_800_000_000+r.age), 0)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// shake makes a handshake and returns the serial number of the server's certificate.
func (r *rig) shake(client *tls.Config) (int64, error) {
	r.t.Helper()
	pem, err := os.ReadFile(r.a.CA)
	if err != nil {
		r.t.Fatal(err)
	}
	client.RootCAs, client.ServerName = x509.NewCertPool(), "localhost"
	client.RootCAs.AppendCertsFromPEM(pem)
	if client.NextProtos == nil {
		client.NextProtos = []string{"h2"}
	}
	l, err := (&net.ListenConfig{}).Listen(r.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ended := make(chan error, 1)
	go func() {
		conn, err := tls.NewListener(l, r.TLS()).Accept()
		if err == nil {
			err = errors.Join(conn.(*tls.Conn).HandshakeContext(r.t.Context()), conn.Close())
		}
		ended <- err
	}()
	conn, err := (&tls.Dialer{Config: client}).DialContext(r.t.Context(), "tcp", l.Addr().String())
	served := <-ended
	if err != nil {
		return 0, err
	}
	state := conn.(*tls.Conn).ConnectionState()
	return state.PeerCertificates[0].SerialNumber.Int64(), errors.Join(served, conn.Close())
}

func (r *rig) serves(want int64) {
	r.t.Helper()
	if got, err := r.shake(&tls.Config{}); err != nil || got != want {
		r.t.Errorf("the certificate %d is served, %v, want %d", got, err, want)
	}
}

func TestFilesThatChangeAreReadAgain(t *testing.T) {
	r := newRig(t, nil)
	r.serves(1)
	r.look()
	r.a.Issue(r.files, 2*time.Hour)
	r.serves(1)
	r.touched(r.files.Cert, r.files.Key)
	r.look()
	r.serves(2)
	if n := testutil.ToFloat64(r.metrics.reloads.WithLabelValues("done")); n != 1 {
		t.Errorf("%v reloads", n)
	}
	if left := time.Until(time.Unix(int64(testutil.ToFloat64(r.metrics.notAfter)), 0)); left < 90*time.Minute {
		t.Errorf("the metric says that it holds for %v", left)
	}
}

func TestWrongFilesLeaveTheOldInForce(t *testing.T) {
	r := newRig(t, nil)
	other := r.a.Pair() // 2
	good, err := os.ReadFile(r.files.Key)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string][]byte{"no PEM": []byte("hello"), "another key": foreign, "nothing": {}} {
		if err := os.WriteFile(r.files.Key, wrong, 0o600); err != nil {
			t.Fatal(err)
		}
		r.touched(r.files.Key)
		r.log.Reset()
		r.look()
		r.look()
		r.serves(1)
		if n := strings.Count(r.log.String(), "the one before stays in force"); n != 1 {
			t.Errorf("%s: it was logged %d times: %s", name, n, r.log.String())
		}
		if strings.Contains(r.log.String(), "PRIVATE") {
			t.Error("a key is in the log")
		}
	}
	if err := os.Remove(r.files.Cert); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.serves(1)
	// A key that comes after its certificate: what fits is taken at once.
	if err := os.WriteFile(r.files.Key, good, 0o600); err != nil {
		t.Fatal(err)
	}
	serial := r.a.Issue(r.files, time.Hour)
	r.touched(r.files.Key, r.files.Cert)
	r.look()
	r.serves(serial)
	if n := testutil.ToFloat64(r.metrics.reloads.WithLabelValues("failed")); n != 4 {
		t.Errorf("%v failures", n)
	}
}

func TestACertificateThatHasExpiredIsNotTaken(t *testing.T) {
	r := newRig(t, nil)
	r.a.Issue(r.files, -time.Minute)
	r.touched(r.files.Cert, r.files.Key)
	r.look()
	r.serves(1)
	if _, err := Open(Config{Cert: r.files.Cert, Key: r.files.Key}); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v", err)
	}
}

func TestClientsMustShowACertificateWhereThatIsAsked(t *testing.T) {
	clients := certstest.New(t)
	r := newRig(t, func(c *Config) { c.ClientCA = clients.CA })
	load := func(p certstest.Pair) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	if _, err := r.shake(&tls.Config{}); err == nil {
		t.Error("a client without a certificate was let in")
	}
	if _, err := r.shake(&tls.Config{Certificates: []tls.Certificate{load(r.a.Pair())}}); err == nil {
		t.Error("a client of another authority was let in")
	}
	if _, err := r.shake(&tls.Config{Certificates: []tls.Certificate{load(clients.Pair())}}); err != nil {
		t.Error(err)
	}
}

func TestOldVersionsAreRefusedUnlessTheyAreAllowed(t *testing.T) {
	old := func() *tls.Config { return &tls.Config{MaxVersion: tls.VersionTLS12} }
	if _, err := newRig(t, nil).shake(old()); err == nil {
		t.Error("TLS 1.2 was let in")
	}
	if _, err := newRig(t, func(c *Config) { c.MinVersion = tls.VersionTLS12 }).shake(old()); err != nil {
		t.Error(err)
	}
	if _, err := newRig(t, nil).shake(&tls.Config{NextProtos: []string{"smtp"}}); err == nil {
		t.Error("another protocol was let in")
	}
}

func TestFilesAreLookedAtByThemselves(t *testing.T) {
	a := certstest.New(t)
	files := a.Pair()
	synctest.Test(t, func(t *testing.T) {
		k, err := Open(Config{Cert: files.Cert, Key: files.Key})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		before := k.current.Load()
		if err := os.Chtimes(files.Cert, time.Time{}, time.Unix(1_800_000_000, 0)); err != nil {
			t.Fatal(err)
		}
		<-time.After(DefaultInterval)
		synctest.Wait()
		if k.current.Load() == before {
			t.Error("nobody looked")
		}
	})
}

func TestWhatCannotBeUsedIsRefusedAtTheStart(t *testing.T) {
	a := certstest.New(t)
	files, empty := a.Pair(), filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"nothing":            {},
		"no key":             {Cert: files.Cert},
		"a missing file":     {Cert: files.Cert, Key: "/nowhere"},
		"missing authority":  {Cert: files.Cert, Key: files.Key, ClientCA: "/nowhere"},
		"an empty authority": {Cert: files.Cert, Key: files.Key, ClientCA: empty},
	} {
		if k, err := Open(cfg); err == nil {
			k.Close()
			t.Errorf("%s was accepted", name)
		}
	}
}
