package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of connections.
const (
	dialTimeout = 5 * time.Second
	idleTimeout = 90 * time.Second
	idlePerHost = 1024 // kept, for as many requests at a time
	maxHeader   = 64 << 10
)

// newClient makes a client that reaches public addresses, and those that are
// allowed.
func newClient(allow []netip.Prefix) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		return checkAddress(address, allow)
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeader,
			// What is compressed could be anything once it is not.
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// checkAddress refuses what a webhook may not reach. It is asked at each connection,
// for the address that a name resolved to at that moment.
func checkAddress(address string, allow []netip.Prefix) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read address of webhook: %w", err)
	}
	ip := to.Addr().WithZone("").Unmap()
	if public(ip) || slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return nil
	}
	return task.Errorf(task.CodePermissionDenied, "%s is no public address, and a webhook may reach it only where the node's setting webhook.allow has it", ip)
}

// notPublic are ranges beyond those that package netip knows.
//
// Sources: the registries of special-purpose addresses of RFC 6890.
func notPublic() []string {
	return []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		// An IPv6 address may carry an IPv4 address that is not public.
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
	}
}

// public reports whether an address is one of the Internet.
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return false
	}
	return !slices.ContainsFunc(notPublic(), func(p string) bool { return netip.MustParsePrefix(p).Contains(ip) })
}

// shown is a URL for logs and lists, without its query, which may have a secret.
func shown(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// nameOf is the worker id of a target: no other has it, now or later.
func nameOf(queue, text string, number int) string {
	host := ""
	if u, err := url.Parse(text); err == nil {
		host = u.Host
	}
	sum := sha256.Sum256([]byte(text))
	const most = 60
	return fmt.Sprintf("webhook/%s/%s/%s-%d", queue, host[:min(len(host), most)], hex.EncodeToString(sum[:4]), number)
}
