package webhook

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyPublicAddressesAreReached(t *testing.T) {
	for _, ip := range []string{
		"127.0.0.1", "127.255.0.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8",
		"198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "203.0.113.7", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1",
		"::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "fec0::1", "fe80::1%eth0",
	} {
		if err := checkAddress(netip.AddrPortFrom(netip.MustParseAddr(ip), 443).String(), nil); task.CodeOf(err) != task.CodePermissionDenied {
			t.Errorf("%s may be reached: %v", ip, err)
		}
	}
	for _, ip := range []string{"1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111", "100.128.0.1", "::ffff:8.8.8.8"} {
		if err := checkAddress(netip.AddrPortFrom(netip.MustParseAddr(ip), 443).String(), nil); err != nil {
			t.Errorf("%s may not be reached: %v", ip, err)
		}
	}
	allow := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128")}
	for address, allowed := range map[string]bool{"10.1.2.3:80": true, "10.2.0.1:80": false, "[::1]:80": true, "[::ffff:10.1.2.3]:80": true, "nonsense": false} {
		if err := checkAddress(address, allow); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestANameThatLeadsInsideIsRefusedWhenItIsDialled(t *testing.T) {
	reached := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer s.Close()
	client := newClient(nil)
	defer client.CloseIdleConnections()
	url := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if refusal, ok := errors.AsType[*task.Error](err); !ok || refusal.Code != task.CodePermissionDenied || reached {
		t.Errorf("%v, reached: %v", err, reached)
	}
}

func TestNamesOfTargetsShowNoQuery(t *testing.T) {
	const url = "https://example.com:8443/hook?key=canary"
	for _, name := range []string{shown(url), nameOf("orders", url, 7)} {
		if strings.Contains(name, "canary") || !strings.Contains(name, "example.com:8443") {
			t.Errorf("%s", name)
		}
	}
	if long := nameOf(strings.Repeat("q", task.MaxQueueName), "https://"+strings.Repeat("h", 250)+".example/x", 1<<30); len(long) > 256 {
		t.Errorf("the name has %d bytes", len(long))
	}
}
