package item

import "log/slog"

// redacted stands wherever a Secret would be printed.
const redacted = "[redacted]"

// Secret is a string that does not print itself: fmt, encoding/json and log/slog show
// a placeholder. string(s) is the secret.
type Secret string

// String returns a placeholder.
func (Secret) String() string { return redacted }

// GoString returns a placeholder, for %#v.
func (Secret) GoString() string { return redacted }

// MarshalText returns a placeholder; encoding/json and others use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns a placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
