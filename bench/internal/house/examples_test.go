//go:build !race

package house

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryTypeHasAnExample(t *testing.T) {
	bad, err := Examples(root(t), shown)
	require.NoError(t, err)
	assert.Empty(t, bad)
}

// TestExamplesFindsPlantedGaps: of the ways to show a type each is found, and nothing else is taken for one.
func TestExamplesFindsPlantedGaps(t *testing.T) {
	const code = `package p
type T struct{ F Field }
type Field int
type Made struct{}
type Word uint8
type Other = T
const (
	A Word = iota
	B
)
func Make() (*Made, error) { return nil, nil }
func (t T) Do() {}
`
	for name, c := range map[string]struct {
		example string
		shown   map[string]string
		want    []string
	}{
		"none":         {"", nil, []string{"p.Field", "p.Made", "p.T", "p.Word"}},
		"by its name":  {"func ExampleT() {\n\t// Output:\n}", nil, []string{"p.Field", "p.Made", "p.Word"}},
		"a method":     {"func ExampleT_Do() {\n\t// Output:\n}", nil, []string{"p.Field", "p.Made", "p.Word"}},
		"not run":      {"func ExampleT() {}", nil, []string{"p.Field", "p.Made", "p.T", "p.Word"}},
		"a result":     {"func Example() {\n\tp.Make()\n\t// Output:\n}", nil, []string{"p.Field", "p.T", "p.Word"}},
		"a field":      {"func Example() {\n\t_ = p.T{F: 1}\n\t// Output:\n}", nil, []string{"p.Made", "p.Word"}},
		"a constant":   {"func Example() {\n\t_ = p.B\n\t// Output:\n}", nil, []string{"p.Field", "p.Made", "p.T"}},
		"with reasons": {"", map[string]string{"p.Field": "why", "p.Made": "why", "p.T": "why", "p.Word": "why"}, nil},
		"for nothing":  {"func ExampleT() {\n\t// Output:\n}", map[string]string{"p.Field": "why", "p.Made": "ExampleT", "p.T": "why", "p.Word": "ExampleX", "p.No": "why"}, []string{"p.T", "p.Word", "p.No"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t, "go.mod", "module example.com/top\n")
			require.NoError(t, os.Mkdir(filepath.Join(dir, "p"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "p", "p.go"), []byte(code), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "p", "p_test.go"), []byte("package p_test\n"+c.example+"\n"), 0o644))
			bad, err := Examples(dir, c.shown)
			require.NoError(t, err)
			require.Len(t, bad, len(c.want), "%v", bad)
			for i, w := range c.want {
				assert.Contains(t, bad[i], w+" ")
			}
		})
	}
}
