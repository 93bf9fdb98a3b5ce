package fenfa_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
)

// signed makes a request as a node does.
func signed(t *testing.T, body, secret string, at time.Time, before ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	stamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + body))
	r.Header.Set("Fenfa-Timestamp", stamp)
	r.Header.Set("Fenfa-Signature", strings.Join(append(before, "v1="+hex.EncodeToString(mac.Sum(nil))), ", "))
	return r
}

func TestARequestOfANodeIsVerified(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"plain":            signed(t, "body", "secret", time.Now()),
		"two signatures":   signed(t, "body", "secret", time.Now(), "v1=00", "v2=ff"),
		"a slow clock":     signed(t, "body", "secret", time.Now().Add(4*time.Minute)),
		"the other secret": signed(t, "body", "former", time.Now()),
	} {
		body, err := fenfa.VerifyWebhook(r, "secret", "former")
		if err != nil || string(body) != "body" {
			t.Errorf("%s: %q %v", name, body, err)
		}
		if again, err := io.ReadAll(r.Body); err != nil || string(again) != "body" {
			t.Errorf("%s: the body cannot be read again: %q %v", name, again, err)
		}
	}
}

func TestAForgedRequestIsRefused(t *testing.T) {
	altered := signed(t, "body", "secret", time.Now())
	altered.Body = io.NopCloser(strings.NewReader("bodY"))
	moved := signed(t, "body", "secret", time.Now())
	moved.Header.Set("Fenfa-Timestamp", fmt.Sprint(time.Now().Unix()-1))
	bare := signed(t, "body", "secret", time.Now())
	bare.Header.Del("Fenfa-Signature")
	for name, r := range map[string]*http.Request{
		"another secret": signed(t, "body", "guessed", time.Now()),
		"no secret":      signed(t, "body", "", time.Now()),
		"another body":   altered,
		"another moment": moved,
		"old":            signed(t, "body", "secret", time.Now().Add(-6*time.Minute)),
		"of the future":  signed(t, "body", "secret", time.Now().Add(6*time.Minute)),
		"no signature":   bare,
		"nothing":        httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody),
	} {
		if _, err := fenfa.VerifyWebhook(r, "secret", ""); !errors.Is(err, fenfa.ErrWebhookSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := fenfa.VerifyWebhook(signed(t, "body", "", time.Now())); err == nil {
		t.Error("without a secret anything is verified")
	}
	if _, err := fenfa.VerifyWebhook(signed(t, strings.Repeat("x", 9<<20), "secret", time.Now()), "secret"); err == nil {
		t.Error("a body without bounds is read")
	}
}
