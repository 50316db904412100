package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/bench/internal/contest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func instant() Options {
	return Options{On: []string{"memnode"}, Work: "get", Goroutines: []int{2}, Rounds: 2, Slot: 5 * time.Millisecond, Keys: 100, Size: 100, Seed: 1}
}

// TestEveryWork: whatever they are to do, all play it, nothing is promised of it on a node in this process, and the
// log has every turn under its player's name.
func TestEveryWork(t *testing.T) {
	for name := range work {
		o := instant()
		o.Work, o.Goroutines = name, []int{1, 8}
		o.HDR, o.JSON = filepath.Join(t.TempDir(), "hdr"), filepath.Join(t.TempDir(), "json")
		require.NoError(t, o.Check(t.Context()))
		var out, errs bytes.Buffer
		require.NoError(t, Run(t.Context(), o, Outputs{&out, &errs}, nil), name)
		var res contest.Result
		b, err := os.ReadFile(o.JSON)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &res))
		assert.Empty(t, res.Checks)
		turns := map[string]int{}
		for _, r := range res.Rows {
			assert.Zero(t, r.Bound, "%s: %s", name, r.Name)
			turns[tag(r.Name)]++
		}
		assert.GreaterOrEqual(t, len(turns), 3)

		log, err := os.ReadFile(o.HDR)
		require.NoError(t, err)
		for in := hdrhistogram.NewHistogramLogReader(bytes.NewReader(log)); ; {
			h, err := in.NextIntervalHistogram()
			require.NoError(t, err)
			if h == nil {
				break
			}
			player, where, _ := strings.Cut(h.Tag(), "/")
			assert.Contains(t, []string{"memnode/1", "memnode/8"}, where)
			assert.Contains(t, turns, player)
			turns[player]--
		}
		for player, n := range turns {
			assert.Equal(t, -2, n, "%s: %s plays two rounds in each of two cases", name, player)
		}
	}
}

// TestMaxRate: no player gets beyond it, whatever they do, nothing is promised then, and one can tell from the table.
func TestMaxRate(t *testing.T) {
	for name, perS := range map[string]float64{"get": 20_000, "multi": 20_000. / contest.MultiKeys} {
		o := instant()
		o.Work, o.MaxRate, o.Slot, o.Keys, o.Goroutines = name, 20_000, 60*time.Millisecond, 50, []int{1, 64}
		o.Rounds, o.JSON = 1, filepath.Join(t.TempDir(), "json")
		require.NoError(t, o.Check(t.Context()))
		var out, errs bytes.Buffer
		require.NoError(t, Run(t.Context(), o, Outputs{&out, &errs}, nil), name)
		assert.Contains(t, out.String(), "at most 20000 operations a second")
		var res contest.Result
		b, err := os.ReadFile(o.JSON)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &res))
		require.NotEmpty(t, res.Rows)
		for _, r := range res.Rows {
			assert.Zero(t, r.Bound)
			assert.Positive(t, r.OpsPerS)
			assert.LessOrEqual(t, r.OpsPerS, perS*1.001, "%s: %s at %d", name, r.Name, r.Goroutines)
		}
	}
}

// TestServersOfOthers are refused, and the error says what to do: a flag that is there.
func TestServersOfOthers(t *testing.T) {
	for _, addr := range []string{"10.0.0.1:11211", "192.0.2.1:11211", "[::ffff:8.8.8.8]:11211", "[2001:db8::1]:11211", "0.0.0.0:11211", "cache.example.com:11211"} {
		o := instant()
		o.Server = addr
		assert.ErrorContains(t, o.Check(t.Context()), "say so with -i-own-these-servers", addr)
		o.IOwn = true
		assert.ErrorContains(t, o.Check(t.Context()), "-i-own-these-servers needs -max-rate")
	}
	o := instant()
	o.MaxRate = 100
	assert.ErrorContains(t, o.Check(t.Context()), "give a -slot of 100ms or more")
	o.Work = "multi"
	assert.ErrorContains(t, o.Check(t.Context()), "give a -slot of 5s or more")
	o.MaxRate = 1e-12
	assert.ErrorContains(t, o.Check(t.Context()), "leaves less than 10 operations to a turn")
	o.MaxRate = -1
	assert.ErrorContains(t, o.Check(t.Context()), "-max-rate must be a positive number")
}

// stopper is a guest who ends the comparison when it is to play its last turn.
type stopper struct {
	contest.Cache
	turns int
	stop  func()
}

func (s *stopper) guests(_ func() (time.Duration, error), addr string) []contest.Player {
	one := contest.Gomemcache("stopper", nil, addr)
	open := one.Open
	one.Open = func(goroutines int) (contest.Cache, error) {
		if s.turns--; s.turns == 0 {
			s.stop()
		}
		return open(goroutines)
	}
	return []contest.Player{one}
}

// TestStoppedShowsWhatThereIs: the rounds that are over, in the table, on the page and in the file.
func TestStoppedShowsWhatThereIs(t *testing.T) {
	for name, c := range map[string]struct{ turns, rows int }{
		"in the second round": {3, 5}, // the first opening is for filling the server
		"in the first round":  {2, 0},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		s := stopper{turns: c.turns, stop: cancel}
		o := instant()
		o.HTML, o.JSON = filepath.Join(t.TempDir(), "html"), filepath.Join(t.TempDir(), "json")
		var out, errs bytes.Buffer
		require.ErrorIs(t, Run(ctx, o, Outputs{&out, &errs}, s.guests), context.Canceled, name)
		if c.rows == 0 {
			assert.Empty(t, out.String(), name)
			assert.NoFileExists(t, o.JSON)
			continue
		}
		assert.Equal(t, c.rows, strings.Count(out.String(), "  2  "), out.String())
		assert.Contains(t, out.String(), "stopped at 2 goroutines, before its end")
		assert.FileExists(t, o.HTML)
		assert.FileExists(t, o.JSON)
	}
}

func TestOptionsTravelWhole(t *testing.T) {
	o := Options{"a", true, 7, []string{"b"}, "c", []int{1}, 2, 3, 4, 5, true, 6, "d", "e", "f"}
	for i := range reflect.TypeFor[Options]().NumField() {
		require.False(t, reflect.ValueOf(o).Field(i).IsZero(), "field %d", i)
	}
	text, err := Encode(o)
	require.NoError(t, err)
	back, err := Decode(text)
	require.NoError(t, err)
	assert.Equal(t, o, back)
	for _, bad := range []string{"", "{", `{"Sever":"a"}`} {
		_, err := Decode(bad)
		assert.Error(t, err, bad)
	}
}

func TestRootIsNotFoundElsewhere(t *testing.T) {
	root, err := Root(t.Context())
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(root, "go.mod"))
	t.Setenv("PATH", "/nonexistent")
	_, err = Root(t.Context())
	assert.ErrorContains(t, err, "in memherd's checkout")
}
