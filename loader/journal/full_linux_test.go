package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/loader/journal"
)

// fullEnv has the journal of a child process of this test.
const fullEnv = "MEMHERD_JOURNAL_FULL"

func init() { children[fullEnv] = fullChild }

// fullChild writes until the kernel lets it write no more, then twice more.
func fullChild(path string) {
	signal.Ignore(syscall.SIGXFSZ) // so that the write fails, as on a full disk
	j, err := journal.Open(path)
	if err != nil {
		fmt.Println("open:", err)
		return
	}
	limit := syscall.Rlimit{Cur: 3 << 20, Max: 3 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("setrlimit:", err)
		return
	}
	failed := 0
	for i := 0; failed < 3 && i < 10_000; i++ {
		recs := []loader.Record{{Key: fmt.Sprint(i), Value: make([]byte, 10_000)}}
		if err := j.Append(recs); err != nil {
			failed++
			fmt.Println("refused:", err)
			continue
		}
		fmt.Println("accepted", i)
	}
	fmt.Println("close:", j.Close())
}

// A disk that is full, as the kernel says it: Append fails and names the file, and so does
// every one after it; what was accepted is there when the file is opened again.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.journal")
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), fullEnv+"="+path)
	var out bytes.Buffer
	cmd.Stdout = &out
	require.NoError(t, cmd.Run())
	accepted := map[string]bool{}
	refused := 0
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSpace(line)
		switch key, ok := strings.CutPrefix(line, "accepted "); {
		case ok:
			require.Zero(t, refused, "nothing is accepted after a failure")
			accepted[key] = true
		case strings.HasPrefix(line, "refused:"):
			refused++
			require.Contains(t, line, path)
			require.Contains(t, line, "file too large")
			require.Equal(t, refused > 1, strings.Contains(line, "until it is opened again"), line)
		default:
			require.Contains(t, line, "close: journal: writing "+path)
		}
	}
	require.Equal(t, 3, refused, out.String())
	require.NotEmpty(t, accepted)
	j := open(t, path)
	for _, r := range left(t, j) {
		delete(accepted, r.Key)
	}
	require.Empty(t, accepted)
	require.NoError(t, j.Append([]loader.Record{{Key: "again"}}))
	require.NoError(t, j.Close())
}
