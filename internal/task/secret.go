package task

import (
	"fmt"
	"log/slog"
)

// Secret is text that shows itself in no log, message or JSON: a token, a password, a
// key that signs. Reveal returns it.
type Secret string

// redacted is what a secret shows of itself.
const redacted = "[redacted]"

// Reveal returns the text, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// Format implements fmt.Formatter: no verb shows the secret.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String hides the secret.
func (s Secret) String() string { return redacted }

// LogValue hides the secret in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret in JSON and other texts.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
