package fenfa

import "fmt"

// Secret is a text that shows itself in no log, format or JSON. Reveal returns it.
type Secret struct{ plain string }

// NewSecret wraps a text.
func NewSecret(plain string) Secret { return Secret{plain: plain} }

// Reveal returns the text, for the one place that needs it.
func (s Secret) Reveal() string { return s.plain }

// Format implements fmt.Formatter: no verb shows the secret.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// String hides the secret.
func (s Secret) String() string { return "[redacted]" }

// MarshalText hides the secret, also in JSON and in logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
