package client

import (
	"testing"

	"github.com/memherd/memherd/client/internal/pipe"
)

// variants are clients from which all parts but one, or none, are missing.
var variants = []struct {
	name    string
	without parts
}{
	{"bare", parts{pipe.Parts{Opaque: true, Overdue: true}, true, true}},
	{"opaque", parts{pipe.Parts{Overdue: true}, true, true}},
	{"deadline", parts{pipe.Parts{Opaque: true}, true, true}},
	{"detection", parts{pipe.Parts{Opaque: true, Overdue: true}, false, true}},
	{"stats", parts{pipe.Parts{Opaque: true, Overdue: true}, true, false}},
	{"all", parts{}},
	{"bare again", parts{pipe.Parts{Opaque: true, Overdue: true}, true, true}},
}

// BenchmarkParts measures what each thing costs that a client does for every get
// besides getting: each alone and all together, as a percentage of the time of a client
// that does none of them. "bare again" is the noise.
func BenchmarkParts(b *testing.B) {
	t := newTurns(b)
	for _, v := range variants {
		t.add(v.name, Config{}).without = v.without
	}
	t.run(1, 8, 64, 256)
}
