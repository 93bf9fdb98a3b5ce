package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/certs/certstest"
)

// TestANodeWithTLS starts a node that encrypts both ports and asks its callers for
// certificates, and gives it another certificate while it runs.
func TestANodeWithTLS(t *testing.T) {
	nodes, callers := certstest.New(t), certstest.New(t)
	mine, caller := nodes.Pair(), callers.Pair()
	for _, port := range []string{"GRPC", "HTTP"} {
		t.Setenv("FENFA_"+port+"_TLS_CERT", mine.Cert)
		t.Setenv("FENFA_"+port+"_TLS_KEY", mine.Key)
		t.Setenv("FENFA_"+port+"_TLS_CLIENT_CA", callers.CA)
	}
	web := webClient(t, nodes.CA, caller)
	n := serveReady(t, t.TempDir(), func(addr string) bool { return status(t, web, "https://"+addr+"/readyz") == http.StatusOK })

	as := func(ca string, pair certstest.Pair) []string {
		return []string{"queue", "list", "--timeout", "2s", "--tls-ca", ca, "--tls-cert", pair.Cert, "--tls-key", pair.Key}
	}
	if code, _, stderr := n.run(t, as(nodes.CA, caller)...); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	for name, args := range map[string][]string{
		"plain":                   {"queue", "list", "--timeout", "500ms"},
		"no certificate":          {"queue", "list", "--timeout", "500ms", "--tls-ca", nodes.CA},
		"another's certificate":   as(nodes.CA, mine),
		"a node of someone else":  as(callers.CA, caller),
		"authorities of the host": {"queue", "list", "--timeout", "500ms", "--tls"},
	} {
		if code, _, stderr := n.run(t, args...); code != exitUnavailable {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
	}
	if code, _, stderr := n.run(t, "queue", "list", "--tls-cert", caller.Cert); code != exitUsage || !strings.Contains(stderr, "go together") {
		t.Errorf("no key: exit code %d: %s", code, stderr)
	}

	// A command whose TLS flags are about something else has flags of its own for the node.
	bridge := func(ca string) []string {
		return []string{
			"bridge", "rabbitmq", "--url", "amqp://127.0.0.1:1/", "--queue", "q", "--to", "nobody", "--timeout", "2s",
			"--node-tls-ca", ca, "--node-tls-cert", caller.Cert, "--node-tls-key", caller.Key,
		}
	}
	if code, _, stderr := n.run(t, bridge(nodes.CA)...); code != exitNotFound || !strings.Contains(stderr, "nobody") {
		t.Errorf("a bridge: exit code %d: %s", code, stderr)
	}

	serial := nodes.Issue(mine, 30*time.Minute)
	waitFor(t, func() bool {
		web.CloseIdleConnections()
		resp, err := web.Get("https://" + n.http + "/healthz") //nolint:noctx // The client has a timeout.
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64() == serial
	})
	if code, _, stderr := n.run(t, as(nodes.CA, caller)...); code != exitOK {
		t.Errorf("after the certificate was renewed: exit code %d: %s", code, stderr)
	}
}

// webClient trusts an authority and shows a certificate.
func webClient(t *testing.T, ca string, pair certstest.Pair) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13}
	config.RootCAs.AppendCertsFromPEM(pem)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: patience}
	t.Cleanup(web.CloseIdleConnections)
	return web
}

// status is that of an address, 0 when nobody answers.
func status(t *testing.T, web *http.Client, url string) int {
	t.Helper()
	resp, err := web.Get(url) //nolint:noctx // The client has a timeout.
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
