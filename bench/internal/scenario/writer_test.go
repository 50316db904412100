package scenario

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/origin"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver/stock"
)

func newRun(t *testing.T) *run {
	return &run{Setup: Quick, ctx: t.Context(), seed: 1, player: ours, values: map[string]float64{}}
}

// What killed holds against its floors is seen: a write that never came, a key that went
// back, and copies that hold something else.
func TestCompareSeesWhatIsWrong(t *testing.T) {
	stock.Need(t)
	s, err := raise(herdNodes, 1)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	cfg := writing{Database: filepath.Join(t.TempDir(), "rows.db"), Nodes: s.straight(), Timeout: HerdTimeout}
	cfg.Journal = cfg.Database + ".journal"
	db, err := origin.OpenVersioned(cfg.Database, false)
	require.NoError(t, err)
	for _, w := range []origin.Row{{Key: "a", Body: "1"}, {Key: "a", Body: "2"}, {Key: "a", Body: "2"}, {Key: "b", Body: "5"}, {Key: "b", Body: "4"}, {Key: "b", Body: "6"}} {
		require.NoError(t, db.Store(t.Context(), w))
	}
	require.NoError(t, db.Close())
	w := &writer{cfg: cfg}
	require.NoError(t, w.open())
	for _, key := range []string{"a", "b"} {
		_, err := w.Get(t.Context(), key) // the copies have it now
		require.NoError(t, err)
	}
	r := newRun(t)
	require.NoError(t, r.compare(s, cfg, map[string]int{"a": 2, "b": 6, "none": 0}))
	assert.Equal(t, map[string]float64{fAtOrigin: 6, fTwice: 1, fDisorder: 1, fLost: 0, fUnlike: 0}, r.values)

	require.NoError(t, w.db.Store(t.Context(), origin.Row{Key: "a", Body: "7"}), "behind the cache's back")
	r = newRun(t)
	require.NoError(t, r.compare(s, cfg, map[string]int{"a": 8, "b": 6, "c": 1}))
	assert.Equal(t, map[string]float64{fAtOrigin: 7, fTwice: 1, fDisorder: 1, fLost: 2, fUnlike: Copies}, r.values)

	require.NoError(t, w.PutWith(t.Context(), "a", "9", loader.WriteOptions{}))
	require.NoError(t, w.close())
	r = newRun(t)
	require.NoError(t, r.compare(s, cfg, map[string]int{"a": 9}))
	assert.Zero(t, r.values[fUnlike])
}

// An origin that does not compare versions loses a foreign write to the replay, sooner or
// later, and foreign shows it.
func TestForeignSeesAnUndoneWrite(t *testing.T) {
	stock.Need(t)
	for seed := range 100 {
		r := newRun(t)
		r.seed = uint64(seed)
		require.NoError(t, r.foreign(false))
		if r.values[fWentBack] > 0 {
			assert.Positive(t, r.values[fPending])
			assert.NotEmpty(t, r.bad.First())
			return
		}
	}
	t.Fatal("600 schedules without one")
}

// A writer that ends by itself is no kill, and the run breaks off with what it said.
func TestAWriterThatCannotWrite(t *testing.T) {
	stock.Need(t)
	s, err := raise(1, 1)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	r := newRun(t)
	err = r.drain(writing{Nodes: s.straight(), Database: t.TempDir(), Timeout: time.Second})
	require.ErrorContains(t, err, "cannot make the database")
}
