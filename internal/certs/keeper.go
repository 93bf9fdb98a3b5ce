package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
)

// DefaultInterval is how often the files are looked at.
const DefaultInterval = 5 * time.Second

// Config is what a Keeper needs.
type Config struct {
	Listener string // name in log and metrics
	Cert     string // PEM file with the certificate and those between it and its authority
	Key      string // PEM file
	ClientCA string // PEM file; empty: clients need no certificate
	// MinVersion is the least version of TLS. Default: 1.3.
	MinVersion uint16
	Protocols  []string // offered by ALPN, the most wanted first

	Interval   time.Duration         // default DefaultInterval
	Clock      clock.Clock           // default: the machine's
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: no metrics
}

// Keeper keeps a certificate current.
type Keeper struct {
	cfg     Config
	metrics *metrics
	current atomic.Pointer[tls.Config]

	mu      sync.Mutex
	read    string // the files that are in force, by their stamps
	failed  string // the files that could not be used and were complained about
	timer   clock.Timer
	closed  bool
	looking sync.WaitGroup
}

// Open reads the files, and goes on to look at them until Close.
func Open(cfg Config) (*Keeper, error) {
	if cfg.Cert == "" || cfg.Key == "" {
		return nil, errors.New("open certificate: a certificate and its key are needed")
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS13
	}
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg, metrics: newMetrics(cfg.Listener)}
	stamp := k.stamp()
	loaded, notAfter, err := k.load()
	if err != nil {
		return nil, err
	}
	if cfg.Registerer != nil {
		if err := k.metrics.register(cfg.Registerer); err != nil {
			return nil, fmt.Errorf("register metrics of certificates: %w", err)
		}
	}
	k.read = stamp
	k.current.Store(loaded)
	k.metrics.notAfter.Set(float64(notAfter.Unix()))
	k.arm()
	return k, nil
}

// TLS returns the configuration for a listener. Each connection gets what is in force
// when it is made.
func (k *Keeper) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: k.cfg.MinVersion, NextProtos: k.cfg.Protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load(), nil },
	}
}

// Close ends the looking.
func (k *Keeper) Close() {
	k.mu.Lock()
	k.closed = true
	k.timer.Stop()
	k.mu.Unlock()
	k.looking.Wait()
}

func (k *Keeper) arm() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.timer = k.cfg.Clock.AfterFunc(k.cfg.Interval, func() {
		k.mu.Lock()
		if k.closed {
			k.mu.Unlock()
			return
		}
		k.looking.Add(1)
		k.mu.Unlock()
		defer k.looking.Done()
		k.look()
		k.arm()
	})
}

// look reads the files again if they are others than those in force.
func (k *Keeper) look() {
	stamp := k.stamp()
	if stamp == k.read {
		return
	}
	loaded, notAfter, err := k.load()
	if err != nil {
		if stamp != k.failed {
			k.failed = stamp
			k.metrics.reloads.WithLabelValues("failed").Inc()
			k.cfg.Logger.Error("the new certificate cannot be used: the one before stays in force", "listener", k.cfg.Listener, "error", err)
		}
		return
	}
	k.read, k.failed = stamp, ""
	k.current.Store(loaded)
	k.metrics.notAfter.Set(float64(notAfter.Unix()))
	k.metrics.reloads.WithLabelValues("done").Inc()
	k.cfg.Logger.Info("certificate read again", "listener", k.cfg.Listener, "not_after", notAfter)
}

// stamp tells whether the files are still the same, without reading them.
func (k *Keeper) stamp() string {
	var b strings.Builder
	for _, name := range []string{k.cfg.Cert, k.cfg.Key, k.cfg.ClientCA} {
		if name == "" {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			b.WriteString(strconv.FormatInt(info.ModTime().UnixNano(), 10) + "/" + strconv.FormatInt(info.Size(), 10))
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// load reads the files, and returns until when the certificate holds.
func (k *Keeper) load() (*tls.Config, time.Time, error) {
	pair, err := tls.LoadX509KeyPair(k.cfg.Cert, k.cfg.Key)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read certificate: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: k.cfg.MinVersion, NextProtos: k.cfg.Protocols}
	if k.cfg.ClientCA != "" {
		pem, err := os.ReadFile(k.cfg.ClientCA)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("read authorities of clients: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, time.Time{}, fmt.Errorf("read authorities of clients: %s holds no certificate in PEM form", k.cfg.ClientCA)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if !k.cfg.Clock.Now().Before(pair.Leaf.NotAfter) {
		return nil, time.Time{}, fmt.Errorf("the certificate in %s has expired at %v", k.cfg.Cert, pair.Leaf.NotAfter)
	}
	return config, pair.Leaf.NotAfter, nil
}
