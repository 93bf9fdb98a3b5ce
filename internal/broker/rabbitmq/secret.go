package rabbitmq

import "log/slog"

// Secret is a password. However it is printed or logged, it does not show.
type Secret string

const redacted = "[redacted]"

// String hides the password.
func (Secret) String() string { return redacted }

// GoString hides the password.
func (Secret) GoString() string { return redacted }

// LogValue hides the password.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the password.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// reveal returns the password itself, for the one place that sends it.
func (s Secret) reveal() string { return string(s) }
