package journal_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/internal/fakecache"
	"github.com/memherd/memherd/loader/journal"
)

// childEnv has the directory of a child process of this test, and the number its values
// begin behind.
const childEnv = "MEMHERD_JOURNAL_CHILD"

const (
	childWriters = 16
	childKeys    = 8 // of each writer
)

// logOrigin is an origin that outlives its process: a file with a line for each write.
// Some of its writes fail.
type logOrigin struct {
	file  *os.File
	fails float64
}

func openOrigin(dir string, fails float64) (*logOrigin, error) {
	f, err := os.OpenFile(filepath.Join(dir, "origin"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return &logOrigin{f, fails}, err
}

func (o *logOrigin) store(_ context.Context, key, v string) error {
	if rand.Float64() < o.fails {
		return errors.New("not now")
	}
	_, err := o.file.WriteString(key + " " + v + "\n")
	return err
}

func (o *logOrigin) loader(j *journal.Journal) (*loader.Loader[string], error) {
	return loader.New(fakecache.New(2), loader.Config[string]{
		Load:  func(context.Context, string) (string, error) { return "", loader.ErrNotFound },
		Store: o.store, Codec: loader.String{}, Write: loader.WriteBack,
		Back: loader.BackConfig[string]{
			Journal: j, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond, MaxAttempts: 1 << 20, MaxPending: 100,
			StoreMany: func(ctx context.Context, ws []loader.Write[string]) error {
				var lines strings.Builder
				for _, w := range ws {
					lines.WriteString(w.Key + " " + w.Value + "\n")
				}
				if rand.Float64() < o.fails {
					return errors.New("not now")
				}
				_, err := o.file.WriteString(lines.String())
				return err
			},
		},
	})
}

// child writes until it is killed, and prints a line for each write that was accepted.
func child(arg string) {
	dir, start, _ := strings.Cut(arg, "|")
	base, err := strconv.Atoi(start)
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	check(err)
	j, err := journal.Open(filepath.Join(dir, "journal"))
	check(err)
	o, err := openOrigin(dir, 0.2)
	check(err)
	l, err := o.loader(j)
	check(err)
	var wg sync.WaitGroup
	for w := range childWriters {
		wg.Go(func() {
			for n := base + 1; ; n++ {
				key := fmt.Sprintf("%d.%d", w, rand.IntN(childKeys))
				check(l.Put(context.Background(), key, strconv.Itoa(n)))
				_, err := os.Stdout.WriteString(key + " " + strconv.Itoa(n) + "\n")
				check(err)
			}
		})
	}
	wg.Wait()
}

// A process is killed in the middle of its work, again and again, each time after another
// number of writes, and its successor goes on with its journal. No write that was accepted
// is lost: in the end the origin has that value of its key or a newer one. And no key
// ever goes back at the origin.
func TestKilledAgainAndAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	dir := t.TempDir()
	accepted := map[string]int{}
	total := 0
	rounds := journal.Scaled(30)
	for round := range rounds {
		var stderr bytes.Buffer
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", childEnv, dir, round*1_000_000))
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		at := rand.IntN(2000)
		for n := 0; ; n++ {
			if n == at {
				_ = cmd.Process.Kill() // SIGKILL; it goes on to print for a moment
			}
			if !lines.Scan() {
				break
			}
			key, v, ok := strings.Cut(lines.Text(), " ")
			number, err := strconv.Atoi(v)
			if n > at && err != nil {
				continue // the kill has cut a line short, and what another writer printed is behind it
			}
			require.True(t, ok && err == nil, lines.Text())
			accepted[key] = max(accepted[key], number)
			total++
		}
		err = cmd.Wait()
		require.ErrorContains(t, err, "killed", stderr.String())
	}

	j := open(t, filepath.Join(dir, "journal"))
	o, err := openOrigin(dir, 0)
	require.NoError(t, err)
	l, err := o.loader(j)
	require.NoError(t, err)
	require.NoError(t, l.Flush(t.Context()))
	require.NoError(t, l.Close())
	require.NoError(t, j.Close())
	require.NoError(t, o.file.Close())

	log, err := os.ReadFile(filepath.Join(dir, "origin"))
	require.NoError(t, err)
	has := map[string]int{}
	writes, again := 0, 0
	for line := range strings.Lines(string(log)) {
		key, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.Atoi(v)
		require.True(t, ok && err == nil, line)
		require.GreaterOrEqual(t, n, has[key], "%s went back", key)
		if n == has[key] {
			again++
		}
		has[key] = n
		writes++
	}
	for key, n := range accepted {
		require.GreaterOrEqual(t, has[key], n, "%s was lost", key)
	}
	t.Logf("%d processes killed, %d writes accepted, %d at the origin, %d of them twice", rounds, total, writes, again)
}
