package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// Encode makes of options what Decode understands.
func Encode(o Options) (string, error) {
	b, err := json.Marshal(o)
	return string(b), err
}

// Decode reads what Encode made.
func Decode(s string) (o Options, err error) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.DisallowUnknownFields()
	return o, dec.Decode(&o)
}

// Root is the folder of memherd's module, whose checkout the process must run in.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/memherd/memherd").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find memherd's module: %w; run this with Go installed, somewhere in memherd's checkout", err)
	}
	return strings.TrimSpace(string(out)), nil
}
